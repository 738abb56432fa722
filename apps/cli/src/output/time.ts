const STEPS: [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
]

/** How long ago a moment was, in one unit: `12s`, `5m`, `3h`, `9d`. */
export function ago(moment: string, now: number = Date.now()): string {
  const ms = Math.max(0, now - Date.parse(moment))
  for (const [size, unit] of STEPS) if (ms >= size) return `${Math.floor(ms / size)}${unit}`
  return '0s'
}
