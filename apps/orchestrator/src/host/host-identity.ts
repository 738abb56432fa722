import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { type HostFacts, type HostProof, hostStatement } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import type { OrchestratorConfig } from '../config.ts'
import { readToken } from '../disk/token.ts'
import type { Logger } from '../log.ts'
import { type Enrolled, readEnrolled, writeEnrolled } from './enrolled-file.ts'
import { readHostFacts } from './host-facts.ts'

/** Where the relay is when nothing says otherwise. */
const DEFAULT_RELAY_URL = 'ws://localhost:3000/ws'

/** Who this machine is to its relay: by the token and key it was enrolled with, or by AUTH_TOKEN. */
export class HostIdentity {
  readonly relayUrl: string
  readonly #config: Pick<OrchestratorConfig, 'token' | 'aioHome'>
  readonly #id: string
  readonly #facts: HostFacts
  readonly #enrolled: Enrolled | undefined

  private constructor(options: {
    relayUrl: string
    config: Pick<OrchestratorConfig, 'token' | 'aioHome'>
    id: string
    facts: HostFacts
    enrolled: Enrolled | undefined
  }) {
    this.relayUrl = options.relayUrl
    this.#config = options.config
    this.#id = options.id
    this.#facts = options.facts
    this.#enrolled = options.enrolled
  }

  /**
   * Reads who this machine is, and enrolls it first when there is a code that it was not enrolled with yet.
   *
   * @throws AioError of the relay when it does not take the code.
   */
  static async open(options: { config: OrchestratorConfig; id: string; log: Logger }): Promise<HostIdentity> {
    const { config, id, log } = options
    const facts = await readHostFacts()
    let kept = await readEnrolled(config.aioHome)
    const relayUrl = config.relayUrl ?? kept?.relayUrl ?? DEFAULT_RELAY_URL
    const { enrollCode } = config
    if (enrollCode !== undefined && kept?.codeHash !== hashOf(enrollCode)) {
      kept = await enroll({ relayUrl, code: enrollCode, id, facts })
      await writeEnrolled(config.aioHome, kept)
      log.info({ id, relayUrl }, 'this machine was enrolled')
    }
    const isOurs = kept !== undefined && kept.relayUrl === relayUrl && kept.orchestratorId === id
    if (kept !== undefined && !isOurs)
      log.info(
        { enrolledAt: kept.relayUrl, relayUrl },
        'this machine was enrolled at another relay; AUTH_TOKEN is used here',
      )
    return new HostIdentity({ relayUrl, config, id, facts, enrolled: isOurs ? kept : undefined })
  }

  /** True when registering takes an answer to the relay's challenge. */
  get hasKey(): boolean {
    return this.#enrolled !== undefined
  }

  /** The token to present. @throws AioError UNAUTHORIZED when there is none */
  async token(): Promise<string> {
    return this.#enrolled?.token ?? (await readToken(this.#config))
  }

  /** What to register with. */
  proof(challenge: string | undefined): HostProof {
    if (this.#enrolled === undefined || challenge === undefined) return { facts: this.#facts }
    const text = hostStatement('register', { challenge, orchestratorId: this.#id, facts: this.#facts })
    return { facts: this.#facts, signature: signed(text, this.#enrolled.privateKey) }
  }
}

async function enroll(options: { relayUrl: string; code: string; id: string; facts: HostFacts }): Promise<Enrolled> {
  const { relayUrl, code, id: orchestratorId, facts } = options
  const pair = generateKeyPairSync('ed25519')
  const publicKey = pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
  const privateKey = pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  const signature = signed(hostStatement('enroll', { challenge: publicKey, orchestratorId, facts }), privateKey)
  await using client = createClient({ url: relayUrl, token: code })
  const { token } = await client.orchestrator.enroll.mutate({ orchestratorId, publicKey, facts, signature })
  return { relayUrl, orchestratorId, token, privateKey, codeHash: hashOf(code) }
}

function signed(text: string, privateKey: string): string {
  return sign(null, Buffer.from(text), createPrivateKey(privateKey)).toString('base64')
}

function hashOf(code: string): string {
  return createHash('sha256').update(code).digest('hex')
}
