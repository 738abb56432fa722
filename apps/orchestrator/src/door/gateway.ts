import {
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { pipeline, Transform } from 'node:stream'
import type { OrchestratorConfig } from '../config.ts'
import type { Logger } from '../log.ts'
import { Credential } from './credential.ts'
import { passedHeaders } from './headers.ts'
import { refuse } from './refuse.ts'
import { readUsage, type TurnUsage } from './turn-usage.ts'

/** The model APIs that a door can lead to. */
export type GatewayKind = 'anthropic'

/** What one session's gateway asks and tells. */
export interface GatewayHooks {
  /** Whether a call of the model may go on; it may take as long as a person takes. @throws the signal's reason. */
  admit(signal: AbortSignal): Promise<{ isAllowed: true } | { isAllowed: false; reason: string }>
  onUsage(usage: TurnUsage): void
}

/** Requests of one session under way at once. */
const REQUESTS_MAX = 64
/** Bytes of one request; the API itself takes 32 MB. */
const BODY_BYTES_MAX = 40 * 1024 * 1024
/** An upstream that is silent for so long has failed, in milliseconds; the API sends pings while it thinks. */
const UPSTREAM_SILENCE_MS = 10 * 60_000

const NO_CREDENTIAL =
  'The orchestrator has no credential for the model API. Its admin sets ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN.'

const MESSAGES = '/v1/messages'
/** The calls a session's agent may make with our credential; everything else of the account stays out of its reach. */
const ALLOWED = [/^\/v1\/messages$/, /^\/v1\/messages\/count_tokens$/, /^\/v1\/models(\/[\w.:-]+)?$/]

/** Credentials of the session's own are placeholders, and cookies are nobody's business. */
const NOT_PASSED: ReadonlySet<string> = new Set(['x-api-key', 'authorization', 'cookie', 'set-cookie'])

/**
 * Behind a session's door: passes calls of the model API on to the configured upstream, with the real credential in place
 * of the session's placeholder, and refuses everything else. Its errors look like the API's own.
 */
export class Gateway {
  readonly #hooks: GatewayHooks
  readonly #credential: Credential
  readonly #log: Logger
  readonly #url: URL
  readonly #agent: HttpAgent
  #underWay = 0

  constructor(
    _kind: GatewayKind,
    options: { config: OrchestratorConfig['gateway']; hooks: GatewayHooks; log: Logger },
  ) {
    this.#hooks = options.hooks
    this.#credential = new Credential(options.config)
    this.#log = options.log
    this.#url = new URL(options.config.upstream)
    this.#agent = this.#isTls() ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true })
  }

  /** Serves a request for the door itself. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    if (this.#underWay >= REQUESTS_MAX) {
      refuse(response, 429, `This session has ${REQUESTS_MAX} requests under way already.`)
      return
    }
    this.#underWay++
    response.on('close', () => this.#underWay--)
    this.#serve(request, response).catch((error: unknown) => {
      if (response.destroyed) return
      this.#log.error({ err: error }, 'a call of the model failed')
      refuse(response, 502, 'The orchestrator failed at this call; its log says why. Try again.')
    })
  }

  /** Lets go of the connections to the upstream. */
  close(): void {
    this.#agent.destroy()
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = pathOf(request)
    if (typeof path !== 'string') {
      refuse(response, 403, path.refused)
      return
    }
    const credential = this.#credential.headers(request.headers['anthropic-beta'])
    if (credential === undefined) {
      refuse(response, 401, NO_CREDENTIAL)
      return
    }
    if (request.method === 'POST' && path.split('?')[0] === MESSAGES) {
      const hungUp = new AbortController()
      response.on('close', () => hungUp.abort())
      const decision = await this.#hooks.admit(hungUp.signal)
      if (!decision.isAllowed) {
        refuse(response, 403, decision.reason)
        return
      }
    }
    this.#pass(request, response, path, credential)
  }

  #pass(request: IncomingMessage, response: ServerResponse, path: string, credential: OutgoingHttpHeaders): void {
    const startedAt = performance.now()
    const base = this.#url.pathname.replace(/\/$/, '')
    const options = {
      method: request.method,
      path: `${base}${path}`,
      // What is compressed could not be read along.
      headers: { ...passedHeaders(request.headers, NOT_PASSED), ...credential, 'accept-encoding': 'identity' },
      agent: this.#agent,
      timeout: UPSTREAM_SILENCE_MS,
    }
    const call = this.#isTls() ? httpsRequest(this.#url, options) : httpRequest(this.#url, options)
    const report = (outcome: number | string) =>
      this.#log.debug(
        { method: request.method, path, outcome, ms: Math.round(performance.now() - startedAt) },
        'gateway',
      )
    const fail = (why: string) => {
      report(why)
      call.destroy()
      // After the first bytes only a broken connection can say that the rest is missing.
      if (response.headersSent) response.destroy()
      else refuse(response, 502, `The model API cannot be reached from the orchestrator: ${why}.`)
    }
    call.on('timeout', () => call.destroy(new Error('it has been silent for too long')))
    call.on('response', (answer) => {
      report(answer.statusCode ?? 0)
      response.writeHead(answer.statusCode ?? 502, passedHeaders(answer.headers, NOT_PASSED))
      response.flushHeaders()
      const isTurn = answer.statusCode === 200 && path.split('?')[0] === MESSAGES
      const done = (error: Error | null | undefined) => {
        if (error !== undefined && error !== null) fail(error.message)
      }
      if (!isTurn) pipeline(answer, response, done)
      else
        pipeline(
          answer,
          readUsage(answer.headers['content-type'], (usage) => this.#hooks.onUsage(usage)),
          response,
          done,
        )
    })
    response.on('close', () => {
      if (!response.writableFinished) call.destroy()
    })
    call.on('error', (error) => {
      if (!response.destroyed && !response.writableEnded) fail(describeFailure(error))
    })
    pipeline(request, limitBytes(BODY_BYTES_MAX), call, (error) => {
      if (error instanceof TooLarge && !response.headersSent) refuse(response, 413, error.message)
    })
  }

  #isTls(): boolean {
    return this.#url.protocol === 'https:'
  }
}

/** The path to ask for, in its plain form, or why not. */
function pathOf(request: IncomingMessage): string | { refused: string } {
  const target = request.url ?? ''
  if (!target.startsWith('/') || target.startsWith('//')) return { refused: 'This is no path of the model API.' }
  if (request.method !== 'GET' && request.method !== 'POST' && request.method !== 'HEAD')
    return { refused: `The model gateway does not pass ${request.method} on.` }
  // The parser resolves `..`, also percent-encoded, so that what is checked is what is asked for.
  const { pathname, search } = new URL(target, 'http://door')
  if (ALLOWED.some((allowed) => allowed.test(pathname))) return `${pathname}${search}`
  return { refused: `The model gateway does not pass ${pathname} on, only messages and models.` }
}

class TooLarge extends Error {}

function limitBytes(max: number): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      if (bytes > max) done(new TooLarge(`A request to the model API has at most ${max} bytes.`))
      else done(null, chunk)
    },
  })
}

function describeFailure(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
