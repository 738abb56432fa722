import { constants, type FSWatcher, openSync, watch } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { Socket } from 'node:net'

/** Bytes read at once. */
const READ_BYTES = 256 * 1024
/** Longest line of an agent that is kept, in bytes; a picture as base64 is the longest there is. */
const LINE_MAX_BYTES = 32 * 1024 * 1024
/** How often growth is looked for where the kernel does not tell of it, in milliseconds. */
const POLL_MS = 1_000

/** A line of the agent, and the offset after it in all it has ever written. */
export interface AgentLine {
  text: string
  offset: number
}

/** What a pipe is made of; see {@link pipePaths}. */
export interface PipeFiles {
  /** A FIFO the agent reads. */
  input: string
  /** A file the agent appends to. */
  output: string
}

/**
 * The two ends of an agent's conversation in its own protocol, one JSON value per line. The agent itself holds both
 * open: it appends to a file and reads a FIFO that never ends, so neither misses anything while nobody is here, and no
 * process has to live for that.
 */
export class AgentPipe implements AsyncDisposable {
  readonly #output: FileHandle
  readonly #input: Socket
  readonly #onLines: (lines: AgentLine[]) => void
  readonly #onError: (error: unknown) => void
  readonly #watcher: FSWatcher
  readonly #poll: NodeJS.Timeout
  #offset: number
  #rest: Buffer[] = []
  #restBytes = 0
  #isReading = false
  #isWanted = false
  #isClosed = false

  /** Opens both ends; lines after `offset` are handed over in batches. */
  static async open(
    files: PipeFiles,
    offset: number,
    on: { lines: (lines: AgentLine[]) => void; error: (error: unknown) => void },
  ): Promise<AgentPipe> {
    const output = await open(files.output, 'r')
    try {
      // Opened for both, it does not wait for the agent and does not break when the agent has ended.
      const input = openSync(files.input, constants.O_RDWR | constants.O_NONBLOCK | constants.O_NOFOLLOW)
      return new AgentPipe({ output, input, path: files.output }, offset, on)
    } catch (error) {
      await output.close()
      throw error
    }
  }

  private constructor(
    ends: { output: FileHandle; input: number; path: string },
    offset: number,
    on: { lines: (lines: AgentLine[]) => void; error: (error: unknown) => void },
  ) {
    this.#output = ends.output
    this.#input = new Socket({ fd: ends.input, readable: false, writable: true })
    this.#input.on('error', on.error)
    this.#offset = offset
    this.#onLines = on.lines
    this.#onError = on.error
    this.#watcher = watch(ends.path, () => this.#read())
    this.#watcher.on('error', on.error)
    this.#poll = setInterval(() => this.#read(), POLL_MS).unref()
    this.#read()
  }

  /** Sends one value. What the agent does not read yet waits in memory. */
  send(frame: object): void {
    this.#input.write(`${JSON.stringify(frame)}\n`)
  }

  /** Lets go of both ends; the agent does not notice. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#poll)
    this.#watcher.close()
    this.#input.destroy()
    await this.#output.close()
  }

  #read(): void {
    this.#isWanted = true
    if (this.#isReading || this.#isClosed) return
    this.#isReading = true
    this.#readAll()
      .catch((error: unknown) => {
        if (!this.#isClosed) this.#onError(error)
      })
      .finally(() => {
        this.#isReading = false
      })
  }

  async #readAll(): Promise<void> {
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false
      for (;;) {
        const { buffer, bytesRead } = await this.#output.read(
          Buffer.allocUnsafe(READ_BYTES),
          0,
          READ_BYTES,
          this.#offset + this.#restBytes,
        )
        if (bytesRead === 0 || this.#isClosed) break
        this.#take(buffer.subarray(0, bytesRead))
      }
    }
  }

  #take(bytes: Buffer): void {
    const lines: AgentLine[] = []
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const piece = bytes.subarray(start, end)
      const text = this.#restBytes === 0 ? piece.toString() : Buffer.concat([...this.#rest, piece]).toString()
      this.#offset += this.#restBytes + piece.length + 1
      this.#rest = []
      this.#restBytes = 0
      lines.push({ text, offset: this.#offset })
      start = end + 1
    }
    if (start < bytes.length) {
      this.#rest.push(Buffer.from(bytes.subarray(start)))
      this.#restBytes += bytes.length - start
    }
    if (this.#restBytes > LINE_MAX_BYTES) {
      // Its end is still to come and will be no JSON, which is reported like any other line that is none.
      this.#offset += this.#restBytes
      this.#rest = []
      this.#restBytes = 0
    }
    if (lines.length > 0) this.#onLines(lines)
  }
}
