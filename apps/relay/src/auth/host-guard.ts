import { AioError, type HostProof, hostStatement, type Principal } from '@ai-orchestration/protocol'
import type { Peer } from '../context.ts'
import { isOtherMachine, isSignedBy } from './host-key.ts'
import { newSecret } from './secret.ts'
import { BOOTSTRAP_ID, type Tokens } from './tokens.ts'

/** Whether who registers as a machine is that machine: its token says which one it may be, and its key that it is no copy of the token. */
export class HostGuard {
  readonly #tokens: Tokens
  /** The question each connection was asked last; an answer to it counts once. */
  readonly #challenges = new WeakMap<Peer, string>()

  constructor(options: { tokens: Tokens }) {
    this.#tokens = options.tokens
  }

  /** A question that only the holder of a host key can answer, on this connection. */
  challenge(peer: Peer): string {
    const challenge = newSecret()
    this.#challenges.set(peer, challenge)
    return challenge
  }

  /**
   * Refuses whoever is not the machine it says.
   *
   * @returns true when it has proved its key; then its other connections have to be shown to be the same machine's.
   * @throws AioError FORBIDDEN, CONFLICT when the connection was lost between question and answer
   */
  admit(
    { tokenId, orchestrators }: Principal,
    { peer, orchestratorId, proof }: { peer: Peer; orchestratorId: string; proof: HostProof | undefined },
  ): boolean {
    if (orchestrators !== undefined && !orchestrators.includes(orchestratorId))
      throw new AioError(
        'FORBIDDEN',
        'This token belongs to another orchestrator. Enroll this machine: aio orchestrators enroll',
      )
    const enrolled = this.#tokens.enrolledAs(orchestratorId)
    if (enrolled.length > 0 && !enrolled.includes(tokenId))
      throw new AioError(
        'FORBIDDEN',
        `The orchestrator ${orchestratorId} was enrolled with a key and a token of its own, and this is another token. Start it without AUTH_TOKEN, or revoke token ${enrolled.join(', ')} first.`,
      )
    const key = this.#tokens.hostKeyOf(tokenId)
    if (key === undefined) {
      if (tokenId !== BOOTSTRAP_ID) this.#tokens.bind(tokenId, orchestratorId)
      return false
    }
    const challenge = this.#challenges.get(peer)
    this.#challenges.delete(peer)
    if (proof?.signature === undefined) throw unproved()
    // Asked on another connection: this one came up in between.
    if (challenge === undefined)
      throw new AioError(
        'CONFLICT',
        'This connection was not asked for a proof yet. Ask for a challenge, then register.',
      )
    const { facts, signature } = proof
    const text = hostStatement('register', { challenge, orchestratorId, facts })
    if (!isSignedBy(key.publicKey, { text, signature })) throw unproved()
    if (isOtherMachine(key.facts, facts)) throw otherMachine(orchestratorId)
    return true
  }
}

function unproved(): AioError {
  return new AioError(
    'FORBIDDEN',
    'This token works only together with the key of the machine it was given to, and that was not proved. Enroll this machine: aio orchestrators enroll',
  )
}

/** The error for a copy of a machine, such as one made from its disk. */
export function otherMachine(orchestratorId: string): AioError {
  return new AioError(
    'FORBIDDEN',
    `This is not the machine that the relay knows as orchestrator ${orchestratorId}: its AIO_HOME was copied here. For a second machine, remove AIO_HOME/orchestrator here and enroll it: aio orchestrators enroll. If this one takes the place of the other: aio orchestrators enroll --replace ${orchestratorId}`,
  )
}
