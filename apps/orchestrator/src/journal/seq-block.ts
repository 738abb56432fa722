/** So many numbers of the outbox are set aside at a time, so that none that was used is ever used again. */
export const SEQ_BLOCK = 100_000
