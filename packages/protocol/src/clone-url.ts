import { z } from 'zod'
import { LIMITS } from './limits.ts'
import { toSlug } from './slug.ts'

/** A clone URL that has passed the one shared rule. */
export interface CloneUrl {
  /** How git will reach it; `local` covers absolute paths and `file:`, which only an admin may use. */
  kind: 'https' | 'ssh' | 'scp' | 'local'
  /** What is handed to git, after `--`. */
  url: string
  /** The same without user and password, for every place a person or a log can see. */
  redacted: string
  /** A project name proposed from the last part of the path, when one can be made. */
  inferredName: string | undefined
}

const RULE =
  "Use https://host/path, ssh://user@host/path, user@host:path, or (as an admin) an absolute path on the orchestrator's machine."

// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
const FORBIDDEN = /[\u0000-\u0020\u007f-\u00a0\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\\]/
const FORBIDDEN_LOCAL = // spaces are common in local paths and are inert behind `--`
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/
const HOST = /^(?!-)[A-Za-z0-9.-]{1,253}(?<!-)$/
const USER = /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$/
const SCP = /^(?:([^@/:]+)@)?([^@/:]+):(?!\/\/)(.+)$/

/**
 * Reads a clone URL by the one shared rule: https, ssh, the scp form, or a local path.
 *
 * @throws TypeError whose message says what is wrong with the URL and what to use instead.
 */
export function parseCloneUrl(input: string): CloneUrl {
  if (input.length === 0) throw new TypeError(`The repository URL is empty. ${RULE}`)
  if (input.length > LIMITS.cloneUrlMaxChars)
    throw new TypeError(`The repository URL is longer than ${LIMITS.cloneUrlMaxChars} characters. ${RULE}`)
  if (input.startsWith('-')) throw new TypeError(`A repository URL cannot begin with a dash. ${RULE}`)
  if (input.startsWith('/')) return local(input, input)
  if (FORBIDDEN.test(input))
    throw new TypeError(`The repository URL holds a space, a backslash or an invisible character. ${RULE}`)
  if (/^file:/i.test(input)) return fileUrl(input)
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(input)) return remoteUrl(input)
  if (input.includes('::')) throw new TypeError(`Remote helpers such as ext:: are not allowed. ${RULE}`)
  return scpForm(input)
}

function remoteUrl(input: string): CloneUrl {
  let url: URL
  try {
    url = new URL(input)
  } catch {
    throw new TypeError(`This is not a valid URL. ${RULE}`)
  }
  const kind = url.protocol === 'https:' ? 'https' : url.protocol === 'ssh:' ? 'ssh' : undefined
  if (kind === undefined) throw new TypeError(`The scheme ${JSON.stringify(url.protocol)} is not allowed. ${RULE}`)
  if (!HOST.test(url.hostname) && !/^\[[0-9a-f:]+\]$/.test(url.hostname))
    throw new TypeError(`The host of this repository URL is not valid. ${RULE}`)
  if (kind === 'https' && isInternalHost(url.hostname))
    throw new TypeError('This host is a loopback, link-local or metadata address, which is never cloned from.')
  if (kind === 'ssh' && url.username !== '' && !USER.test(url.username))
    throw new TypeError(`The user of this repository URL is not valid. ${RULE}`)
  if (kind === 'ssh' && url.password !== '') throw new TypeError('An ssh URL cannot carry a password; use a key.')
  if (url.pathname.length < 2) throw new TypeError(`The repository URL has no path. ${RULE}`)
  if (url.search !== '' || url.hash !== '') throw new TypeError(`A repository URL has no query or fragment. ${RULE}`)
  refuseOptionPath(url.pathname.slice(1))
  const redacted = new URL(url)
  if (kind === 'https') redacted.username = ''
  redacted.password = ''
  return { kind, url: input, redacted: redacted.href, inferredName: nameFrom(decoded(url.pathname)) }
}

function scpForm(input: string): CloneUrl {
  const match = SCP.exec(input)
  const [, user, host, path] = match ?? []
  if (host === undefined || path === undefined) throw new TypeError(`This is not a repository URL. ${RULE}`)
  if ((user !== undefined && !USER.test(user)) || !HOST.test(host))
    throw new TypeError(`The user or host of this repository URL is not valid. ${RULE}`)
  refuseOptionPath(path)
  return { kind: 'scp', url: input, redacted: input, inferredName: nameFrom(path) }
}

function fileUrl(input: string): CloneUrl {
  let url: URL
  try {
    url = new URL(input)
  } catch {
    throw new TypeError(`This is not a valid URL. ${RULE}`)
  }
  if (url.hostname !== '') throw new TypeError('A file: URL must name this machine: file:///absolute/path.')
  return local(decoded(url.pathname), input)
}

function local(path: string, shown: string): CloneUrl {
  if (FORBIDDEN_LOCAL.test(path)) throw new TypeError('The repository path holds a control or invisible character.')
  if (path.startsWith('//')) throw new TypeError('A repository path begins with one slash.')
  if (path.split('/').includes('..')) throw new TypeError('A repository path cannot hold "..": write it out.')
  return { kind: 'local', url: path, redacted: shown, inferredName: nameFrom(path) }
}

function refuseOptionPath(path: string): void {
  if (path.startsWith('-') || path.startsWith('/-'))
    throw new TypeError('The path of a repository URL cannot begin with a dash.')
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw new TypeError(`The path of this URL holds a "%" that is not followed by two digits. ${RULE}`)
  }
}

function nameFrom(path: string): string | undefined {
  const last = path
    .replace(/\/+$/, '')
    .replace(/\.git$/, '')
    .replace(/\/+$/, '')
    .split(/[/:]/)
    .at(-1)
  return last === undefined ? undefined : toSlug(last)
}

// Addresses written as text only; what a name resolves to is the egress door's business.
function isInternalHost(host: string): boolean {
  const name = host.toLowerCase()
  return (
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    /^127\./.test(name) ||
    /^169\.254\./.test(name) ||
    name === '0.0.0.0' ||
    /^\[(::1?|fe[89ab][0-9a-f]:.*|::ffff:(7f|a9fe).*)\]$/.test(name)
  )
}

/** A clone URL in the input of a command; the message of a refusal is that of {@link parseCloneUrl}. */
export const cloneUrlSchema = z.string().superRefine((text, context) => {
  try {
    parseCloneUrl(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) })
  }
})
