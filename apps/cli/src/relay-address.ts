import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { AioError, relayUrl } from '@ai-orchestration/sdk'
import { z } from 'zod'
import type { CliConfig } from './config.ts'

/** Where the relay is when nothing says otherwise. */
export const DEFAULT_RELAY_URL = 'ws://localhost:3000/ws'

/** What `aio login` keeps. */
export const loginSchema = z.object({ url: z.string(), token: z.string(), tokenId: z.string().optional() })
/** See {@link loginSchema}. */
export type Login = z.infer<typeof loginSchema>

const relayFileSchema = z.object({ url: z.string(), pid: z.number(), version: z.string() })

/** Which relay to talk to, and as whom. */
export interface RelayAddress {
  /** WebSocket URL. */
  url: string
  token: string | undefined
  /** Where the token came from, to say so when it is refused. */
  tokenFrom: 'flag' | 'variable' | 'login' | 'machine' | 'nowhere'
}

/**
 * Finds relay and token: flag, then variable, then `login.json`, then `relay.json` with the machine's token, then the
 * default. A token that was kept for one relay is never sent to another one.
 *
 * @throws AioError INVALID_INPUT for an address that is not one.
 */
export async function findRelay(
  config: CliConfig,
  flags: { relay?: string | undefined; token?: string | undefined },
): Promise<RelayAddress> {
  const login = await readJson(loginFile(config), loginSchema)
  const running = await readJson(join(config.aioHome, 'relay.json'), relayFileSchema)
  const url = asUrl(flags.relay ?? config.relayUrl ?? login?.url ?? running?.url ?? DEFAULT_RELAY_URL)
  if (flags.token !== undefined) return { url, token: flags.token, tokenFrom: 'flag' }
  if (config.token !== undefined) return { url, token: config.token, tokenFrom: 'variable' }
  if (login !== undefined && isSameRelay(asUrl(login.url), url)) return { url, token: login.token, tokenFrom: 'login' }
  const isOurs = isLoopback(url) || (running !== undefined && isSameRelay(asUrl(running.url), url))
  const token = isOurs ? await readIfPresent(join(config.aioHome, 'token')) : undefined
  if (token !== undefined) return { url, token: token.trim(), tokenFrom: 'machine' }
  return { url, token: undefined, tokenFrom: 'nowhere' }
}

/** The file that `aio login` writes. */
export function loginFile(config: CliConfig): string {
  return join(config.aioHome, 'login.json')
}

/** The relay's address for a browser, such as `http://127.0.0.1:3000`. */
export function webAddress(url: string): string {
  return new URL(url.replace(/^ws/, 'http')).origin
}

/**
 * The relay's address as other machines see it: when it listens on every address (`host` is a wildcard) and we know it by a
 * loopback one, that of this machine's first network card.
 */
export function reachableAddress(url: string, host: string, cards = networkInterfaces()): string {
  const address = new URL(webAddress(url))
  if (!isLoopback(url) || isLoopbackName(host)) return address.origin
  const isWildcard = host === '0.0.0.0' || host === '::'
  const found = Object.values(cards)
    .flatMap((card) => card ?? [])
    .find((one) => !one.internal && one.family === 'IPv4')
  address.hostname = isWildcard ? (found?.address ?? address.hostname) : host.includes(':') ? `[${host}]` : host
  return address.origin
}

/** The relay that runs on this machine under `AIO_HOME`, if its file says so. */
export function runningRelay(config: CliConfig): Promise<z.infer<typeof relayFileSchema> | undefined> {
  return readJson(join(config.aioHome, 'relay.json'), relayFileSchema)
}

/** Reads a file, or answers `undefined` when there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return undefined
    throw new AioError('INVALID_INPUT', `${path} cannot be read: ${thrown instanceof Error ? thrown.message : thrown}`)
  }
}

/** Tells whether an address names this machine. */
export function isLoopback(url: string): boolean {
  return isLoopbackName(new URL(url).hostname)
}

function isLoopbackName(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || host === '::1' || /^127\./.test(host)
}

function isSameRelay(one: string, other: string): boolean {
  const port = (url: URL) => url.port || (url.protocol === 'wss:' ? '443' : '80')
  const [a, b] = [new URL(one), new URL(other)]
  const isSameHost = a.hostname === b.hostname || (isLoopback(one) && isLoopback(other))
  return isSameHost && port(a) === port(b) && a.protocol === b.protocol
}

function asUrl(text: string): string {
  try {
    return relayUrl(text)
  } catch {
    throw new AioError(
      'INVALID_INPUT',
      `${JSON.stringify(text)} is not the address of a relay. It looks like ${DEFAULT_RELAY_URL}.`,
    )
  }
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readIfPresent(path)
  if (text === undefined) return undefined
  try {
    return schema.parse(JSON.parse(text))
  } catch {
    throw new AioError('INVALID_INPUT', `${path} is not what aio wrote there. Remove it and log in again: aio login`)
  }
}
