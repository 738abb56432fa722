import type { Latch } from './key-row.tsx'

/** What a typed character becomes while Ctrl is latched: `c` becomes ^C; what has no such form stays. */
export function controlOf(character: string): string {
  if (character.length !== 1) return character
  const code = character.toUpperCase().charCodeAt(0)
  if (code >= 64 && code <= 95) return String.fromCharCode(code - 64)
  if (character === ' ') return '\0'
  return character === '?' ? '\u007f' : character
}

/** The latch after a key: once is over, locked stays. */
export function afterKey(latch: Latch): Latch {
  return latch === 'once' ? 'off' : latch
}
