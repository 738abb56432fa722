import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { type Enrollment, type HostFacts, type HostProof, hostStatement } from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import type { TestRelay } from './test-relay.ts'

/** A machine with a key of its own, as an orchestrator's first start makes it. */
export class TestHost {
  readonly id: string
  readonly facts: HostFacts
  readonly #keys = generateKeyPairSync('ed25519')

  constructor(options: { id?: string; machine?: string } = {}) {
    this.id = options.id ?? ulid()
    this.facts = factsOf(options.machine ?? this.id)
  }

  /** What it trades a code with. */
  enrollment(): Enrollment {
    const publicKey = this.#keys.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
    const about = { challenge: publicKey, orchestratorId: this.id, facts: this.facts }
    return { orchestratorId: this.id, publicKey, facts: this.facts, signature: this.#sign('enroll', about) }
  }

  /** Its answer to the relay's challenge, on this machine or, with other facts, on a copy of it. */
  readonly prove = (orchestratorId: string, challenge: string, facts: HostFacts = this.facts): HostProof => {
    return { facts, signature: this.#sign('register', { challenge, orchestratorId, facts }) }
  }

  /** Trades a code for its token. */
  async enroll(relay: TestRelay, code: string): Promise<{ token: string; tokenId: string }> {
    await using client = relay.client(code)
    return await client.call.orchestrator.enroll.mutate(this.enrollment())
  }

  #sign(purpose: 'enroll' | 'register', about: Parameters<typeof hostStatement>[1]): string {
    return sign(null, Buffer.from(hostStatement(purpose, about)), this.#keys.privateKey).toString('base64')
  }
}

/** Facts of a machine by this name, and of one boot of it. */
export function factsOf(machine: string, boot = 'first'): HostFacts {
  const hash = (fact: string) => createHash('sha256').update(`${machine} ${fact}`).digest('hex')
  return { installation: hash('installation'), hardware: hash('hardware'), boot: hash(boot) }
}
