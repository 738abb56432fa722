import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** A new secret of 256 bits, as text that needs no quoting anywhere. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** The form a secret is kept in. A fast hash is right: the secret has 256 bits, so guessing it is hopeless at any speed. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

/** Compares a secret with a kept hash in constant time. */
export function matchesHash(secret: string, hash: string): boolean {
  const given = createHash('sha256').update(secret).digest()
  const kept = Buffer.from(hash, 'hex')
  return kept.length === given.length && timingSafeEqual(given, kept)
}
