/** The version of this release; every package of the repository carries the same. */
export const VERSION = '0.1.0'
