/**
 * Where the user ids of containers begin on the host. systemd's list of uid ranges has 1879048192–2147352575 as unused:
 * above what useradd hands out in /etc/subuid (100000–600100000) and what systemd-nspawn takes (524288–1879048191), so
 * that no process of the machine ever runs under an id a container knows. On disk everything belongs to this first range;
 * each session sees it, through mapped mounts, as belonging to a range of its own.
 */
export const UID_BASE = 1_895_825_408

/** How many ids a container has: all that 16-bit programs and Debian's `nobody` (65534) expect. */
export const UID_COUNT = 65_536

/** User `agent` inside a container; there is nobody else in it. */
export const AGENT_UID = 1_000

/** The same user as the host sees it, on disk. */
export const AGENT_HOST_UID = UID_BASE + AGENT_UID

/** Ends where systemd's list does. */
const RANGES = Math.floor((2_147_352_576 - UID_BASE) / UID_COUNT)

/** The first range that nobody has; the common one when all are taken, which takes 3,800 sessions. */
export function freeRange(taken: Iterable<number | undefined>): number {
  const used = new Set(taken)
  for (let index = 1; index < RANGES; index += 1) {
    const base = UID_BASE + index * UID_COUNT
    if (!used.has(base)) return base
  }
  return UID_BASE
}

/** The range that an owner on the host belongs to; `undefined` for one of the host's own. */
export function rangeOf(uid: number): number | undefined {
  const index = Math.floor((uid - UID_BASE) / UID_COUNT)
  return index >= 0 && index < RANGES ? UID_BASE + index * UID_COUNT : undefined
}
