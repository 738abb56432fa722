/** The option that stands for the protocol's older way to set a permission mode, `session/set_mode`. */
export const MODE_OPTION = 'aio:mode'
