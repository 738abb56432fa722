import { createPublicKey, verify } from 'node:crypto'
import type { HostFacts } from '@ai-orchestration/protocol'

/** Tells whether a text was signed with the key of a machine; anything malformed was not. */
export function isSignedBy(publicKey: string, { text, signature }: { text: string; signature: string }): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' })
    return key.asymmetricKeyType === 'ed25519' && verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'))
  } catch {
    return false
  }
}

/** Tells whether two machines that say they are the same cannot be; a fact that one of them does not know tells nothing. */
export function isOtherMachine(a: HostFacts, b: HostFacts): boolean {
  return differs(a.installation, b.installation) || differs(a.hardware, b.hardware)
}

/** Tells whether two connections that are there at once are of two machines, or of one that has rebooted in between. */
export function isOtherBoot(a: HostFacts, b: HostFacts): boolean {
  return differs(a.boot, b.boot)
}

function differs(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b
}
