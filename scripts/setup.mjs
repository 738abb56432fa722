// Brings a fresh clone to the point where everything can run. Plain JavaScript, because the machine may have Node 20 only.
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..')
/** The Node 24 that `pnpm install` has put in place. */
export const node = join(root, 'node_modules/.bin/node')

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const pnpm = ['npx', '-y', manifest.packageManager]
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' }
const secondsPerNotice = 5

/** An error whose message is all a person needs. */
export class SetupError extends Error {}

/** Programs that sessions need, with the Debian package each comes from. */
const PROGRAMS = { git: 'git', runc: 'runc', tmux: 'tmux', tini: 'tini' }

/**
 * Installs what is missing; does nothing, and needs no network, when nothing is.
 * @param {{ programs?: Record<string, string> }} [more] programs beside those that sessions need
 */
export async function setUp(more = {}) {
  await installPrograms({ ...PROGRAMS, ...more.programs })
  await installDependencies()
  await buildWeb()
}

/** @param {Record<string, string>} programs */
async function installPrograms(programs) {
  const missing = Object.entries(programs).filter(([program]) => !isOnPath(program))
  if (missing.length === 0) return
  const packages = [...new Set(missing.map(([, name]) => name))]
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages]
  const prefix = rootPrefix()
  if (prefix === undefined || !isOnPath('apt-get'))
    throw new SetupError(
      `These programs are missing: ${missing.map(([program]) => program).join(', ')}. Install them, then run this again:\n\n  sudo ${install.join(' ')}\n`,
    )
  const apt = { ...env, DEBIAN_FRONTEND: 'noninteractive' }
  await step(`Installing ${packages.join(', ')}`, async (show) => {
    // A fresh machine has no package lists; a stale list is good enough when it knows the packages.
    const first = await attempt([...prefix, ...install], show, apt)
    if (first.ok) return
    await must([...prefix, 'apt-get', 'update'], show, apt)
    await must([...prefix, ...install], show, apt)
  })
}

async function installDependencies() {
  const manifests = ['apps', 'packages'].flatMap((group) =>
    readdirSync(join(root, group)).map((name) => join(root, group, name, 'package.json')),
  )
  const files = [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    'e2e/package.json',
    'bench/package.json',
    'soak/package.json',
  ]
  const stamp = join(root, 'node_modules/.aio-installed')
  const wanted = hashOf([...files.map((file) => join(root, file)), ...manifests.filter(existsSync)])
  if (existsSync(node) && isStamped(stamp, wanted)) return
  await step('Installing dependencies', async (show) => {
    await must([...pnpm, 'install', '--frozen-lockfile'], show, { ...env, CI: 'true' })
  })
  if (!existsSync(node))
    throw new SetupError(`Node 24 did not get into place: ${node} is missing. Remove node_modules and run this again.`)
  writeFileSync(stamp, wanted)
}

async function buildWeb() {
  const out = join(root, 'apps/web/out')
  const stamp = join(out, '.aio-built')
  const sources = ['apps/web', 'packages/sdk/src', 'packages/protocol/src'].flatMap((folder) =>
    filesUnder(join(root, folder)),
  )
  const baked = process.env['NEXT_PUBLIC_RELAY_URL'] ?? ''
  const wanted = hashOf([...sources, join(root, 'pnpm-lock.yaml')], baked)
  if (isStamped(stamp, wanted)) return
  await step('Building the web app', async (show) => {
    await must([...pnpm, '--filter', '@ai-orchestration/web', 'run', 'build'], show, withNode24())
  })
  mkdirSync(out, { recursive: true })
  writeFileSync(stamp, wanted)
}

/** The environment in which `node` is Node 24. */
export function withNode24() {
  return { ...env, PATH: `${join(root, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}` }
}

/** @param {string} program */
function isOnPath(program) {
  const places = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
  return places.some((place) => place !== '' && existsSync(join(place, program)))
}

function rootPrefix() {
  if (process.getuid?.() === 0) return []
  return isOnPath('sudo') && spawnSync('sudo', ['-n', 'true']).status === 0 ? ['sudo', '-n'] : undefined
}

/**
 * @param {string[]} files
 * @param {string} [salt]
 */
function hashOf(files, salt = '') {
  const hash = createHash('sha256').update(salt)
  for (const file of files.sort())
    hash.update(file.slice(root.length)).update('\0').update(readFileSync(file)).update('\0')
  return hash.digest('hex')
}

/** @param {string} folder @returns {string[]} */
function filesUnder(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['node_modules', '.next', 'out', '.turbo', 'dist', 'android', 'next-env.d.ts'].includes(entry.name)) return []
    const path = join(folder, entry.name)
    return entry.isDirectory() ? filesUnder(path) : [path]
  })
}

/** @param {string} file @param {string} wanted */
function isStamped(file, wanted) {
  return existsSync(file) && readFileSync(file, 'utf8') === wanted
}

/**
 * Shows one step: its name, a sign of life while it runs, and how long it took.
 * @param {string} name
 * @param {(show: (line: string) => void) => Promise<void>} action
 */
async function step(name, action) {
  const startedAt = Date.now()
  let latest = ''
  const seconds = () => Math.round((Date.now() - startedAt) / 1000)
  const isLive = process.stderr.isTTY === true
  process.stderr.write(`${name}…${isLive ? '' : '\n'}`)
  const notice = () => {
    const text = `${name}… ${seconds()} s ${latest}`.slice(0, (process.stderr.columns ?? 100) - 1)
    process.stderr.write(isLive ? `\r\x1b[K${text}` : `  ${seconds()} s ${latest}\n`)
  }
  const timer = setInterval(notice, isLive ? 500 : secondsPerNotice * 1000)
  try {
    await action((line) => {
      latest = line.slice(0, 100)
    })
    process.stderr.write(`${isLive ? '\r\x1b[K' : ''}${name}: done in ${seconds()} s\n`)
  } catch (error) {
    process.stderr.write(`${isLive ? '\r\x1b[K' : ''}${name}: failed after ${seconds()} s\n`)
    throw error
  } finally {
    clearInterval(timer)
  }
}

/**
 * @param {string[]} argv
 * @param {(line: string) => void} show
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Promise<{ ok: boolean, output: string }>}
 */
async function attempt([file = '', ...args], show, environment) {
  return await new Promise((resolve) => {
    let output = ''
    const child = spawn(file, args, { cwd: root, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
    const take = (/** @type {Buffer} */ data) => {
      output = (output + data.toString()).slice(-20_000)
      const line = output
        .trimEnd()
        .split(/[\r\n]+/)
        .at(-1)
      if (line !== undefined) show(line.trim())
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    child.on('error', (error) => resolve({ ok: false, output: `${file}: ${error.message}` }))
    child.on('close', (code) => resolve({ ok: code === 0, output }))
  })
}

/**
 * @param {string[]} argv
 * @param {(line: string) => void} show
 * @param {NodeJS.ProcessEnv} environment
 */
async function must(argv, show, environment) {
  const { ok, output } = await attempt(argv, show, environment)
  if (!ok) throw new SetupError(`\`${argv.join(' ')}\` failed:\n\n${output.trim().split('\n').slice(-25).join('\n')}\n`)
}
