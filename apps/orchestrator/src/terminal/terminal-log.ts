import { type FSWatcher, watch } from 'node:fs'
import { type FileHandle, open, readFile, rename, writeFile } from 'node:fs/promises'
import type { TerminalSize } from '@ai-orchestration/protocol'
import { z } from 'zod'
import type { Logger } from '../log.ts'
import { run } from '../process/run.ts'

/** Bytes of output that are kept; older ones are given back to the disk. */
const KEEP_BYTES = 64 * 1024 * 1024
/** Bytes above that before anything is given back, so that it is seldom done. */
const SLACK_BYTES = 8 * 1024 * 1024
/** Holes are punched in whole blocks of the file system; a multiple of every usual block size, in bytes. */
const BLOCK_BYTES = 64 * 1024
/** How often growth is looked for where the kernel does not tell of it, in milliseconds. */
const POLL_MS = 50

const noteSchema = z.object({ firstOffset: z.number().int().min(0), cols: z.number().int(), rows: z.number().int() })

/** How much of a log is kept; tests set less. */
export interface LogLimits {
  keepBytes: number
  slackBytes: number
}

/**
 * Everything one session's terminal has printed, addressed by byte offset from the session's beginning. tmux's `cat`
 * appends to it, also while no orchestrator runs; past a cap the front becomes a hole, so offsets stay true. A small
 * file beside it remembers where the hole ends and the terminal's last size.
 */
export class TerminalLog {
  /** The first byte that is still there. */
  firstOffset: number
  /** The terminal's size as it was last known. */
  lastSize: TerminalSize
  readonly #file: FileHandle
  readonly #path: string
  readonly #limits: LogLimits
  readonly #log: Logger
  readonly #listeners = new Set<() => void>()
  #watcher: FSWatcher | undefined
  #poll: NodeJS.Timeout | undefined

  private constructor(
    file: FileHandle,
    path: string,
    note: z.infer<typeof noteSchema>,
    limits: LogLimits,
    log: Logger,
  ) {
    this.#file = file
    this.#path = path
    this.#limits = limits
    this.#log = log
    this.firstOffset = note.firstOffset
    this.lastSize = { cols: note.cols, rows: note.rows }
  }

  /** Opens the log at `path`; a session that has printed nothing yet gets an empty one. */
  static async open(
    path: string,
    log: Logger,
    limits: LogLimits = { keepBytes: KEEP_BYTES, slackBytes: SLACK_BYTES },
  ): Promise<TerminalLog> {
    const file = await open(path, 'a+', 0o600)
    return new TerminalLog(file, path, await readNote(path), limits, log)
  }

  /** Bytes printed so far, those in the hole included. */
  async size(): Promise<number> {
    return (await this.#file.stat()).size
  }

  /** Up to `maxBytes` bytes from `offset` on, fewer at the end; `undefined` when they are no longer there. */
  async read(offset: number, maxBytes: number): Promise<Buffer | undefined> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.allocUnsafe(maxBytes), 0, maxBytes, offset)
    // After the read: a hole punched meanwhile reads as zeros.
    return offset < this.firstOffset ? undefined : buffer.subarray(0, bytesRead)
  }

  /** Calls back soon after the log has grown; looks for growth only while someone listens. Answers how to stop. */
  onGrowth(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#startWatching()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stopWatching()
    }
  }

  /** Gives the oldest output back to the disk when the log is over its cap. */
  async trim(): Promise<void> {
    const size = await this.size()
    if (size - this.firstOffset <= this.#limits.keepBytes + this.#limits.slackBytes) return
    const first = Math.floor((size - this.#limits.keepBytes) / BLOCK_BYTES) * BLOCK_BYTES
    if (first <= this.firstOffset) return
    // Noted first: what is noted as gone and still there does no harm, the other way round zeros would be shown.
    this.firstOffset = first
    await this.#writeNote()
    await run('fallocate', ['--punch-hole', '--offset', '0', '--length', String(first), this.#path])
  }

  /** Remembers the terminal's size, for showing the log when the terminal is gone. */
  async noteSize({ cols, rows }: TerminalSize): Promise<void> {
    if (cols === this.lastSize.cols && rows === this.lastSize.rows) return
    this.lastSize = { cols, rows }
    await this.#writeNote()
  }

  /** Closes the file; the log stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear()
    this.#stopWatching()
    await this.#file.close()
  }

  async #writeNote(): Promise<void> {
    const note = { firstOffset: this.firstOffset, ...this.lastSize }
    await writeFile(`${notePath(this.#path)}.new`, JSON.stringify(note), { mode: 0o600 })
    await rename(`${notePath(this.#path)}.new`, notePath(this.#path))
  }

  #startWatching(): void {
    try {
      this.#watcher = watch(this.#path, () => this.#tell())
      this.#watcher.on('error', (error) => this.#pollInstead(error))
    } catch (error) {
      this.#pollInstead(error)
    }
  }

  // Such as ENOSPC, when the machine has no inotify watches left.
  #pollInstead(error: unknown): void {
    this.#log.info({ err: error }, 'the kernel does not tell of new terminal output; looking for it instead')
    this.#stopWatching()
    let known = -1
    this.#poll = setInterval(() => {
      this.size().then(
        (size) => {
          if (size !== known) this.#tell()
          known = size
        },
        (problem: Error) => this.#log.warn({ err: problem }, 'a terminal log cannot be read'),
      )
    }, POLL_MS).unref()
  }

  #stopWatching(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    clearInterval(this.#poll)
    this.#poll = undefined
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

function notePath(logPath: string): string {
  return `${logPath}.json`
}

async function readNote(logPath: string): Promise<z.infer<typeof noteSchema>> {
  const unknown = { firstOffset: 0, cols: 80, rows: 24 }
  try {
    const note = noteSchema.safeParse(JSON.parse(await readFile(notePath(logPath), 'utf8')))
    return note.success ? note.data : unknown
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isAbsent || error instanceof SyntaxError) return unknown
    throw error
  }
}
