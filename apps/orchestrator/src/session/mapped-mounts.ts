import { mkdir, mkdtemp, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AioError } from '@ai-orchestration/protocol'
import { run } from '../process/run.ts'
import { type PipedChild, spawnPiped } from '../process/spawn-piped.ts'
import { unmount } from './mounts.ts'
import { UID_BASE, UID_COUNT } from './uid-range.ts'

const PROGRAM = fileURLToPath(new URL('./mount-mapped.pl', import.meta.url))

/** A request that takes this long means that the kernel hangs, in milliseconds; normally it takes a few. */
const DEADLINE_MS = 20_000
/** A program that nobody asks is ended after this time, in milliseconds. */
const IDLE_MS = 60_000

/** Numbers of `unshare`, `mount`, `umount2`, `setns` and `sethostname`, which each architecture has its own of. */
const SYSTEM_CALLS: Partial<Record<NodeJS.Architecture, readonly number[]>> = {
  x64: [272, 165, 166, 308, 170],
  arm64: [97, 40, 39, 268, 161],
}

/** A bind of a directory, or an overlay of directories, all seen with their owners mapped. */
export type MappedMount =
  | { type: 'bind'; source: string; target: string }
  | {
      type: 'overlay'
      /** The upper one first. */
      lowers: readonly string[]
      /** Holds the overlay's `upper` and `work`. */
      layers: string
      target: string
      scratch: string
    }

/**
 * Mounts what belongs to the common range of user ids on disk so that it belongs to another one where it is mounted.
 *
 * @throws AioError ISOLATION_UNAVAILABLE with the kernel's own reason.
 */
export async function mountMapped(uidBase: number, mounts: readonly MappedMount[]): Promise<void> {
  const calls = systemCalls()
  for (const mount of mounts)
    for (const target of mount.type === 'bind'
      ? [mount.target]
      : scratchNames(mount.lowers).map((name) => join(mount.scratch, name)))
      await mkdir(target, { recursive: true, mode: 0o711 })
  const jobs = mounts.flatMap((mount) =>
    mount.type === 'bind'
      ? ['bind', mount.source, mount.target]
      : ['overlay', mount.target, mount.scratch, mount.layers, String(mount.lowers.length), ...mount.lowers],
  )
  try {
    await ask(calls, [...[UID_BASE, uidBase, UID_COUNT].map(String), ...jobs])
  } finally {
    for (const mount of mounts) if (mount.type === 'overlay') await rmdirs(mount.scratch, mount.lowers)
  }
}

/**
 * Shows a mounted directory inside a container that waits, and names that container's host.
 *
 * @throws AioError ISOLATION_UNAVAILABLE with the kernel's own reason.
 */
export async function mountInside(options: {
  /** A process of the container, in which nothing of an agent's has run yet: its names are trusted. */
  pid: number
  source: string
  /** A directory that is made inside. */
  target: string
  /** Who makes it. */
  uid: number
  hostname: string
}): Promise<void> {
  const { pid, source, target, uid, hostname } = options
  const unmapped = [UID_BASE, UID_BASE, UID_COUNT].map(String)
  await ask(systemCalls(), [...unmapped, 'inside', String(pid), source, target, String(uid), hostname])
}

function systemCalls(): readonly number[] {
  const calls = SYSTEM_CALLS[process.arch]
  if (calls === undefined) throw new AioError('ISOLATION_UNAVAILABLE', `Ids cannot be mapped on ${process.arch}.`)
  return calls
}

interface Mounter {
  child: PipedChild
  answers: ((line: string) => void)[]
  idle: NodeJS.Timeout
}

let mounter: Mounter | undefined

/** Has the program do something; it is kept for a while, because starting it is 10 ms of every creation. */
async function ask(calls: readonly number[], fields: readonly string[]): Promise<void> {
  if (fields.some((field) => field.includes('\0'))) throw new AioError('INVALID_INPUT', 'A path holds a NUL character.')
  mounter ??= startMounter(calls)
  const { child, answers, idle } = mounter
  idle.refresh()
  const answer = new Promise<string>((resolve) => answers.push(resolve))
  const timer = setTimeout(() => child.process.kill('SIGKILL'), DEADLINE_MS)
  child.stdin.write([fields.length, ...fields].map((field) => `${field}\0`).join(''))
  const said = await answer
  clearTimeout(timer)
  if (said !== 'ok') throw new AioError('ISOLATION_UNAVAILABLE', `perl ${PROGRAM} failed: ${said}`)
}

function startMounter(calls: readonly number[]): Mounter {
  const child = spawnPiped('perl', [PROGRAM, ...calls.map(String)])
  const started: Mounter = { child, answers: [], idle: setTimeout(() => child.stdin.end(), IDLE_MS).unref() }
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-1_000)
  })
  createInterface({ input: child.stdout }).on('line', (line) => started.answers.shift()?.(line))
  const onEnd = (why: string) => {
    clearTimeout(started.idle)
    if (mounter === started) mounter = undefined
    for (const answer of started.answers.splice(0)) answer(said.trim() || why)
  }
  child.stdin.on('error', (error) => onEnd(error.message))
  child.process.on('error', (error) => onEnd(error.message)).on('close', (code) => onEnd(`exit status ${code}`))
  return started
}

/** Where `mount-mapped.pl` mounts the layers for a moment. */
function scratchNames(lowers: readonly string[]): string[] {
  return ['layers', ...lowers.map((_, index) => `lower${index}`)]
}

/** Only empty directories: should a layer still be mounted there, nothing of it may go. */
async function rmdirs(scratch: string, lowers: readonly string[]): Promise<void> {
  for (const name of [...scratchNames(lowers), '']) await rmdir(join(scratch, name))
}

/**
 * Tells whether sessions can have a range of user ids each, by mounting an overlay with mapped layers in this directory.
 *
 * @returns `undefined` when they can, else the reason.
 */
export async function whyUnmappable(directory: string): Promise<string | undefined> {
  const place = await mkdtemp(join(directory, '.probe-'))
  const [base, layers, target, scratch] = ['base', 'layers', 'target', 'scratch'].map((name) => join(place, name))
  if (base === undefined || layers === undefined || target === undefined || scratch === undefined) return undefined
  const uidBase = UID_BASE + UID_COUNT
  try {
    for (const path of [base, join(layers, 'upper'), join(layers, 'work'), target])
      await mkdir(path, { recursive: true })
    await run('chown', [String(UID_BASE), join(layers, 'upper')])
    await mountMapped(uidBase, [{ type: 'overlay', lowers: [base], layers, target, scratch }])
    const { uid } = await stat(target)
    return uid === uidBase ? undefined : 'the kernel did not map the owners of a mounted directory'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await unmount(target)
    await rm(place, { recursive: true, force: true })
  }
}
