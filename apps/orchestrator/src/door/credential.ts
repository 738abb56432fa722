import type { OutgoingHttpHeaders } from 'node:http'
import type { OrchestratorConfig } from '../config.ts'

/** What the API wants to see beside an OAuth token. */
const OAUTH_BETA = 'oauth-2025-04-20'

/**
 * The real credential of the model API and its one owner: nothing else reads it, so that this is the one place that would
 * renew it. Tokens of `claude setup-token`, which CLAUDE_CODE_OAUTH_TOKEN holds, are valid for a year and have nothing to
 * be renewed with.
 */
export class Credential {
  readonly #apiKey: string | undefined
  readonly #oauthToken: string | undefined

  constructor({ apiKey, oauthToken }: Pick<OrchestratorConfig['gateway'], 'apiKey' | 'oauthToken'>) {
    this.#apiKey = apiKey
    this.#oauthToken = oauthToken
  }

  /** The headers that present it, beside the betas the caller asked for; `undefined` when there is none. */
  headers(beta: string | string[] | undefined): OutgoingHttpHeaders | undefined {
    if (this.#apiKey !== undefined) return { 'x-api-key': this.#apiKey }
    if (this.#oauthToken === undefined) return undefined
    const asked = [beta ?? []].flat().flatMap((list) => list.split(',').map((name) => name.trim()))
    const betas = new Set([OAUTH_BETA, ...asked])
    return { authorization: `Bearer ${this.#oauthToken}`, 'anthropic-beta': [...betas].join(',') }
  }
}
