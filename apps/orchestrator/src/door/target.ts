import { isIPv4, isIPv6 } from 'node:net'

/** Where a request wants to go, in the one spelling that everything after goes by. */
export interface Target {
  /** Lowercase, without a final dot; an IPv6 address in its shortest form, without brackets. */
  host: string
  port: number
  /** True when the host is an address and no name. */
  isAddress: boolean
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/
const PORT = /^[1-9][0-9]{0,4}$/
/** What browsers and many resolvers take for an IPv4 address: a last label of digits or hexadecimal. */
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/

/**
 * Reads `host:port`, `[address]:port` or, with a default port, `host`. Everything that two readers could understand
 * differently is refused: user and password, percent signs, other digits than ASCII, shortened or octal or hexadecimal
 * addresses, zones, empty labels.
 *
 * @returns `undefined` for what is no such thing.
 */
export function parseTarget(authority: string, defaultPort?: number): Target | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]+))?$/.exec(authority)
  if (match === null || authority.length > 300) return undefined
  const [, bracketed, name, portText] = match
  const port = portText === undefined ? defaultPort : parsePort(portText)
  if (port === undefined) return undefined
  if (bracketed !== undefined) {
    const host = shortestIPv6(bracketed)
    return host === undefined ? undefined : { host, port, isAddress: true }
  }
  return name === undefined ? undefined : namedTarget(name.toLowerCase(), port)
}

/** The authority as a URL or a Host header spells it. */
export function formatTarget({ host, port }: Pick<Target, 'host' | 'port'>): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** What a list may name: a host, every host below a suffix, or an address; on one port, or on those of the web. */
export interface HostPattern {
  host: string
  /** True for `*.host`, which means everything below it and not the host itself. */
  isSuffix: boolean
  /** 80 and 443 when absent. */
  port: number | undefined
}

const WEB_PORTS: readonly number[] = [80, 443]

/** Reads `host`, `*.suffix` or an address, each with an optional `:port`; `undefined` when it is none. */
export function parseHostPattern(text: string): HostPattern | undefined {
  const isSuffix = text.startsWith('*.')
  const rest = isSuffix ? text.slice(2) : text
  const withPort = parseTarget(rest)
  const target = withPort ?? parseTarget(rest, 443)
  // A suffix of one label, such as *.com, is everyone.
  if (target === undefined || (isSuffix && (target.isAddress || !target.host.includes('.')))) return undefined
  return { host: target.host, isSuffix, port: withPort?.port }
}

/** Tells whether a pattern names a target. */
export function matchesPattern(pattern: HostPattern, { host, port, isAddress }: Target): boolean {
  const fitsPort = pattern.port === undefined ? WEB_PORTS.includes(port) : pattern.port === port
  if (!fitsPort) return false
  return pattern.isSuffix ? !isAddress && host.endsWith(`.${pattern.host}`) : host === pattern.host
}

function namedTarget(text: string, port: number): Target | undefined {
  const host = text.endsWith('.') ? text.slice(0, -1) : text
  const labels = host.split('.')
  if (host.length > 253 || !labels.every((label) => LABEL.test(label))) return undefined
  if (!NUMERIC_LABEL.test(labels.at(-1) ?? '')) return { host, port, isAddress: false }
  return isIPv4(text) ? { host, port, isAddress: true } : undefined
}

function parsePort(text: string): number | undefined {
  const port = Number(text)
  return PORT.test(text) && port <= 65_535 ? port : undefined
}

function shortestIPv6(text: string): string | undefined {
  return isIPv6(text) ? new URL(`http://[${text}]/`).hostname.slice(1, -1) : undefined
}
