/**
 * Where the user ids of containers begin on the host. systemd's list of uid ranges has 1879048192–2147352575 as unused:
 * above what useradd hands out in /etc/subuid (100000–600100000) and what systemd-nspawn takes (524288–1879048191), so
 * that no process of the machine ever runs under an id a container knows.
 */
export const UID_BASE = 1_895_825_408

/** How many ids a container has: all that 16-bit programs and Debian's `nobody` (65534) expect. */
export const UID_COUNT = 65_536

/** User `agent` inside a container; there is nobody else in it. */
export const AGENT_UID = 1_000

/** The same user as the host sees it. */
export const AGENT_HOST_UID = UID_BASE + AGENT_UID
