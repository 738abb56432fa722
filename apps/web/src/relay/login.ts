import { relayHttp } from './address.ts'

/** What the relay says of itself to anyone. */
export interface Health {
  version: string
  /** How long it took to answer, in milliseconds. */
  latencyMs: number
}

/** Why a login did not work, in words for the person. */
export class LoginError extends Error {
  override readonly name = 'LoginError'
}

/**
 * Exchanges a one-time code or a pasted token for a token of this device.
 *
 * @throws LoginError when the relay refuses it or cannot be reached.
 */
export async function exchange(secret: { code: string } | { token: string }): Promise<string> {
  const answer = await ask('/trpc/auth.exchange', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...secret, deviceName: deviceName() }),
  })
  const token = pick(answer, 'result', 'data', 'token')
  if (typeof token === 'string') return token
  const message = pick(answer, 'error', 'message')
  throw new LoginError(typeof message === 'string' ? message : 'The relay gave an answer that this page does not know.')
}

/** Asks the relay whether it is there; `undefined` when it is not. */
export async function health(signal: AbortSignal): Promise<Health | undefined> {
  const start = performance.now()
  try {
    const response = await fetch(relayHttp('/health'), { signal })
    const body: unknown = await response.json()
    const version = pick(body, 'version')
    return { version: typeof version === 'string' ? version : '', latencyMs: Math.round(performance.now() - start) }
  } catch {
    // Not reachable is an answer here, and the page says so.
    return undefined
  }
}

async function ask(path: string, init: RequestInit): Promise<unknown> {
  try {
    const response = await fetch(relayHttp(path), init)
    return await response.json()
  } catch {
    throw new LoginError('The relay cannot be reached. Check that it is running, then try again.')
  }
}

function pick(value: unknown, ...path: string[]): unknown {
  let node = value
  for (const key of path) {
    if (typeof node !== 'object' || node === null) return undefined
    node = Reflect.get(node, key)
  }
  return node
}

function deviceName(): string {
  const agent = navigator.userAgent
  const browser = /Edg\//.test(agent)
    ? 'Edge'
    : /Firefox\//.test(agent)
      ? 'Firefox'
      : /Chrome\//.test(agent)
        ? 'Chrome'
        : /Safari\//.test(agent)
          ? 'Safari'
          : 'Browser'
  const system = /Android/.test(agent)
    ? 'Android'
    : /iPhone|iPad/.test(agent)
      ? 'iOS'
      : /Mac OS/.test(agent)
        ? 'macOS'
        : /Windows/.test(agent)
          ? 'Windows'
          : /Linux/.test(agent)
            ? 'Linux'
            : 'another system'
  return `${browser} on ${system}`
}
