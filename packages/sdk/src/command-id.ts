const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Makes the id of a new command: a ULID, 48 bits of time and 80 random ones. */
export function newCommandId(now: number = Date.now()): string {
  let time = ''
  for (let rest = now, i = 0; i < 10; i += 1, rest = Math.floor(rest / 32)) time = CROCKFORD.charAt(rest % 32) + time
  // 256 is a multiple of 32, so each letter is equally likely.
  const random = crypto.getRandomValues(new Uint8Array(16))
  return time + Array.from(random, (byte) => CROCKFORD.charAt(byte % 32)).join('')
}
