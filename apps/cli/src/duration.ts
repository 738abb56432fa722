const UNIT_MS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Reads a length of time such as `30` (seconds), `500ms`, `5m`, `12h` or `30d`.
 *
 * @returns milliseconds, or `undefined` when it is not one.
 */
export function parseDuration(text: string): number | undefined {
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim()) ?? []
  const factor = UNIT_MS[unit]
  if (amount === undefined || factor === undefined) return undefined
  const ms = Math.round(Number(amount) * factor)
  return ms > 0 ? ms : undefined
}
