import { appendFile, readFile, rename, stat } from 'node:fs/promises'
import {
  type EgressRecord,
  egressRecordSchema,
  type OrchestratorEvent,
  parseSessionId,
} from '@ai-orchestration/protocol'
import type { Logger } from '../log.ts'

/** Size at which a log file is put aside and the one before it dropped, in bytes: a session keeps at most twice as much. */
const FILE_BYTES_MAX = 1024 * 1024
/** Between two events of one session, in milliseconds. */
const TELL_MS = 2_000
/** Hosts in one event; more than anyone reads. */
const HOSTS_MAX = 20
/** Hosts that are counted between two events; an agent chooses them. */
const COUNTED_MAX = 1_000

type EgressEvent = Extract<OrchestratorEvent, { type: 'egress' }>
type HostCount = EgressEvent['hosts'][number]

/** What went through one session's door: every request in a file of bounded size, and now and then an event that sums up. */
export class EgressLog {
  readonly #path: string
  readonly #sessionId: string
  readonly #publish: (event: OrchestratorEvent) => void
  readonly #log: Logger
  readonly #counts = new Map<string, HostCount>()
  #omitted = 0
  #timer: NodeJS.Timeout | undefined
  #lines: string[] = []
  #writing: Promise<void> | undefined

  /** @param options `path` lies where no session can write. */
  constructor(options: {
    path: string
    sessionId: string
    publish: (event: OrchestratorEvent) => void
    log: Logger
  }) {
    this.#path = options.path
    this.#sessionId = options.sessionId
    this.#publish = options.publish
    this.#log = options.log
  }

  /** Keeps a request that has ended. */
  add(record: EgressRecord): void {
    this.#count(record)
    this.#timer ??= setTimeout(() => this.#tell(), TELL_MS).unref()
    this.#lines.push(`${JSON.stringify(record)}\n`)
    this.#writing ??= this.#write()
  }

  /** Writes and tells what waits. */
  async close(): Promise<void> {
    if (this.#timer !== undefined) this.#tell()
    await this.#writing
  }

  async #write(): Promise<void> {
    try {
      while (this.#lines.length > 0) {
        const lines = this.#lines.splice(0).join('')
        if ((await sizeOf(this.#path)) + lines.length > FILE_BYTES_MAX) await rename(this.#path, `${this.#path}.1`)
        await appendFile(this.#path, lines, { mode: 0o600 })
      }
    } catch (error) {
      // The session may just have been removed, and its files with it.
      this.#lines = []
      this.#log.warn({ sessionId: this.#sessionId, err: error }, 'the egress log of a session could not be written')
    } finally {
      this.#writing = undefined
    }
  }

  #count({ host, port, verdict, bytesUp, bytesDown }: EgressRecord): void {
    const key = `${host}:${port}`
    const known = this.#counts.get(key)
    if (known === undefined && this.#counts.size >= COUNTED_MAX) {
      this.#omitted++
      return
    }
    const count = known ?? { host, port, allowed: 0, denied: 0, failed: 0, bytesUp: 0, bytesDown: 0 }
    this.#counts.set(key, count)
    count[verdict]++
    count.bytesUp += bytesUp
    count.bytesDown += bytesDown
  }

  #tell(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const projectId = parseSessionId(this.#sessionId)?.projectId ?? ''
    const hosts = [...this.#counts.values()]
    const omitted = this.#omitted + Math.max(0, hosts.length - HOSTS_MAX)
    this.#counts.clear()
    this.#omitted = 0
    this.#publish({
      type: 'egress',
      sessionId: this.#sessionId,
      projectId,
      hosts: hosts.slice(0, HOSTS_MAX),
      omitted,
    })
  }
}

/** The latest requests of a session's log, oldest first; none when it has none. A line that was cut short is left out. */
export async function readEgressLog(path: string, limit: number): Promise<EgressRecord[]> {
  const records: EgressRecord[] = []
  for (const file of [path, `${path}.1`]) {
    const lines = (await readIfThere(file)).split('\n')
    for (const line of lines.reverse()) {
      if (records.length === limit) return records.reverse()
      const record = parseRecord(line)
      if (record !== undefined) records.push(record)
    }
  }
  return records.reverse()
}

function parseRecord(line: string): EgressRecord | undefined {
  if (line === '') return undefined
  try {
    return egressRecordSchema.safeParse(JSON.parse(line)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function readIfThere(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(unlessMissing(''))
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(({ size }) => size, unlessMissing(0))
}

function unlessMissing<T>(value: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return value
    throw error
  }
}
