import { crc32 } from 'node:zlib'

const SUM_CHARS = 8

/** A JSON object's text with its checksum before it: SQLite notices damage to its pages' structure, not to what stands in them. */
export function seal(text: string): string {
  return crc32(text).toString(16).padStart(SUM_CHARS, '0') + text
}

/** The text that was sealed; `undefined` when a bit of it has changed since. What was kept before there were seals has none. */
export function unseal(sealed: string): string | undefined {
  if (sealed.startsWith('{')) return sealed
  const text = sealed.slice(SUM_CHARS)
  return seal(text) === sealed ? text : undefined
}
