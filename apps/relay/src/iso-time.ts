let lastMs = Number.NaN
let lastText = ''

/** A moment of `Date.now()` as it goes over the wire. Many things happen in one millisecond, and its text is made once. */
export function isoTime(ms: number): string {
  if (ms === lastMs) return lastText
  lastText = new Date(ms).toISOString()
  lastMs = ms
  return lastText
}
