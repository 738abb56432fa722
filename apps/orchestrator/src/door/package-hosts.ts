import { readFile } from 'node:fs/promises'
import { parseCloneUrl } from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { Logger } from '../log.ts'
import { run } from '../process/run.ts'
import { aptSources } from '../rootfs/apt-sources.ts'
import type { HostPattern } from './target.ts'
import { parseTarget } from './target.ts'

/** Sets of hosts that a project may name instead of each host. */
export const PRESETS = ['npm', 'pypi', 'debian', 'git'] as const
/** Name of such a set. */
export type Preset = (typeof PRESETS)[number]

/** How long what a package manager said is remembered, in milliseconds. */
const REMEMBER_MS = 10 * 60_000
/** Package managers are slow to start, not slower than this, in milliseconds. */
const ASK_MS = 20_000

const npmConfigSchema = z.record(z.string(), z.unknown())

/** The hosts that the package managers of this machine use, as their own configuration names them. */
export class PackageHosts {
  readonly #log: Logger
  readonly #known = new Map<Preset, { hosts: Promise<HostPattern[]>; until: number }>()

  constructor(options: { log: Logger }) {
    this.#log = options.log
  }

  /** The hosts of a preset; none when its program is not on this machine, which the log says. */
  async of(preset: Preset, project: { repoUrl?: string | undefined }): Promise<readonly HostPattern[]> {
    if (preset === 'git') return gitHosts(project.repoUrl)
    const known = this.#known.get(preset)
    if (known !== undefined && performance.now() < known.until) return await known.hosts
    const hosts = this.#ask(preset)
    this.#known.set(preset, { hosts, until: performance.now() + REMEMBER_MS })
    return await hosts
  }

  async #ask(preset: Exclude<Preset, 'git'>): Promise<HostPattern[]> {
    try {
      const hosts = hostsOf(await URLS[preset]())
      if (hosts.length === 0) this.#log.warn({ preset }, 'no host is configured on this machine for a preset')
      return hosts
    } catch (error) {
      this.#log.warn({ preset, err: error }, 'the hosts of a preset could not be found out')
      return []
    }
  }
}

const URLS: Record<Exclude<Preset, 'git'>, () => Promise<string[]>> = {
  npm: npmUrls,
  pypi: pypiUrls,
  debian: debianUrls,
}

/** Elsewhere than in a project, whose own configuration could name any host. */
async function ask(file: string, args: string[]): Promise<string> {
  const { stdout } = await run(file, args, { cwd: '/', timeoutMs: ASK_MS, allowFailure: true })
  return stdout
}

async function npmUrls(): Promise<string[]> {
  const registry = await ask('npm', ['config', 'get', 'registry'])
  const config = npmConfigSchema.safeParse(parseJson(await ask('npm', ['config', 'list', '--json'])))
  const scoped = Object.entries(config.data ?? {}).filter(([name]) => /^@.*:registry$/.test(name))
  return [registry.trim(), ...scoped.map(([, url]) => String(url))]
}

/** pip names its index only when it is not the default one, which it knows itself. */
async function pypiUrls(): Promise<string[]> {
  const config = await ask('pip', ['config', 'list'])
  const named = [...config.matchAll(/^[^=]*\.(extra-)?index-url='(.*)'$/gm)]
  const urls = named.flatMap(([, , list]) => (list ?? '').split(/\\n|\s+/))
  if (named.some(([, extra]) => extra === undefined)) return urls
  const script = 'from pip._internal.models.index import PyPI; print(PyPI.url, "https://" + PyPI.file_storage_domain)'
  return [...urls, ...(await ask('python3', ['-c', script])).trim().split(' ')]
}

async function debianUrls(): Promise<string[]> {
  const texts = await Promise.all((await aptSources()).map(async (file) => await readFile(file, 'utf8')))
  const lines = texts.flatMap((text) => text.split('\n')).filter((line) => !line.trimStart().startsWith('#'))
  return lines.flatMap((line) => line.match(/\bhttps?:\/\/[^\s\]]+/g) ?? [])
}

function gitHosts(repoUrl: string | undefined): HostPattern[] {
  if (repoUrl === undefined) return []
  // The proxy leads no ssh, whose clients do not use it.
  return parseCloneUrl(repoUrl).kind === 'https' ? hostsOf([repoUrl]) : []
}

function hostsOf(urls: readonly string[]): HostPattern[] {
  const patterns = urls.flatMap((text) => {
    if (!URL.canParse(text)) return []
    const { protocol, host } = new URL(text)
    if (protocol !== 'http:' && protocol !== 'https:') return []
    const target = parseTarget(host, protocol === 'http:' ? 80 : 443)
    return target === undefined ? [] : [{ host: target.host, isSuffix: false, port: target.port }]
  })
  return [...new Map(patterns.map((pattern) => [JSON.stringify(pattern), pattern])).values()]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
