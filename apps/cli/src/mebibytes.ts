const UNIT_MIB: Record<string, number> = { M: 1, G: 1_024, T: 1_024 ** 2 }

/**
 * Reads a size such as `512` (MiB), `512M`, `4G` or `1.5T`.
 *
 * @returns MiB, or `undefined` when it is not one.
 */
export function parseMebibytes(text: string): number | undefined {
  const [, amount, unit = 'M'] = /^(\d+(?:\.\d+)?)([MGT])?(?:i?B)?$/i.exec(text.trim()) ?? []
  const factor = UNIT_MIB[unit.toUpperCase()]
  if (amount === undefined || factor === undefined) return undefined
  const size = Math.round(Number(amount) * factor)
  return size > 0 ? size : undefined
}
