/** Releases that carry the fixes of November 2025 (CVE-2025-31133, -52565, -52881), per line of releases. */
const FIXED: readonly (readonly [number, number, number])[] = [
  [1, 2, 8],
  [1, 3, 3],
]

/**
 * What an admin should know about this machine's runc; empty when it carries the fixes of November 2025.
 *
 * @param version as `runc --version` prints it, such as `1.1.5+ds1`.
 */
export function describeRuntime(version: string | undefined): string[] {
  if (version === undefined) return ['runc was not found, so no session can start. Install it: apt-get install -y runc']
  if (isPatched(version)) return []
  return [
    `runc ${version} lacks the fixes of November 2025 for container escapes (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881). Install 1.2.8, 1.3.3, 1.4.0-rc.3 or later when your distribution has it; until then run only code you trust not to attack the kernel boundary.`,
  ]
}

/** Tells whether a release of runc carries the fixes of November 2025. */
export function isPatched(version: string): boolean {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:-rc\.(\d+))?/.exec(version)
  if (match === null) return false
  const [major = 0, minor = 0, patch = 0] = match.slice(1, 4).map(Number)
  const candidate = match[4] === undefined ? Number.POSITIVE_INFINITY : Number(match[4])
  if (major !== 1) return major > 1
  if (minor === 4 && patch === 0) return candidate >= 3
  if (minor >= 4) return true
  const line = FIXED.find(([, fixedMinor]) => fixedMinor === minor)
  return line !== undefined && (patch > line[2] || (patch === line[2] && candidate === Number.POSITIVE_INFINITY))
}
