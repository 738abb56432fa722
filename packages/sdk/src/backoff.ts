/** Longest wait between two attempts to connect, in milliseconds (S-5). */
export const BACKOFF_CAP_MS = 30_000

/** Upper bound of the first wait, in milliseconds: a relay that restarts is back within a second or two. */
const BACKOFF_BASE_MS = 250

/**
 * Full jitter: anything between zero and a bound that doubles with each failure, so that a thousand clients of a
 * restarted relay come back spread out.
 *
 * @returns milliseconds to wait.
 */
export function fullJitter(failures: number, random: () => number): number {
  return random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(failures, 16))
}
