import { setTimeout as sleep } from 'node:timers/promises'
import {
  LIMITS,
  type SessionExit,
  streamItemBytes,
  type TerminalItem,
  type TerminalSize,
} from '@ai-orchestration/protocol'
import type { Replay } from './replay.ts'
import type { TerminalLog } from './terminal-log.ts'

/** While a program prints without a pause, its output is sent in pieces this far apart, in milliseconds. */
const JOIN_MS = 4
/** The last output may reach the log a little after the news of the end; so long is waited for it, in milliseconds. */
const LAST_OUTPUT_MS = 40

/** What a viewer works with. */
export interface ViewerParts {
  log: TerminalLog
  /** Paints the present screen, or what is left of it. */
  replay: () => Promise<Replay>
  send: (item: TerminalItem) => void
  /** Called once, when nothing more will be sent; not after `close`. */
  onEnd: (error?: unknown) => void
  /** Go on after this offset instead of a replay. */
  after: number | undefined
}

/**
 * One viewer's cursor into a terminal's log. It reads only what it may send: a viewer that does not keep up costs
 * nothing and misses nothing, until the log's cap passes it by; then it is told and gets the present screen.
 */
export class Viewer {
  readonly #parts: ViewerParts
  readonly #stopListening: () => void
  /** Offset after what was sent; undefined until the first replay. */
  #cursor: number | undefined
  #credit = 0
  #lastSentAt = 0
  #end: { exit: SessionExit | undefined } | undefined
  #isClosed = false
  #isPumping = false
  #isWanted = false

  constructor(parts: ViewerParts) {
    this.#parts = parts
    this.#cursor = parts.after
    this.#stopListening = parts.log.onGrowth(() => this.#pump())
    if (parts.after !== undefined) this.resized(parts.log.lastSize)
    this.#pump()
  }

  /** Allows so many more bytes. */
  credit(bytes: number): void {
    this.#credit += bytes
    this.#pump()
  }

  /** Tells the viewer of the terminal's new size. */
  resized({ cols, rows }: TerminalSize): void {
    if (this.#cursor === undefined || this.#isClosed) return
    this.#parts.send({ type: 'resized', offset: this.#cursor, cols, rows })
  }

  /** Ends the viewer after everything that was printed has been sent. */
  sessionEnded(exit: SessionExit | undefined): void {
    this.#end ??= { exit }
    this.#pump()
  }

  /** Stops at once; nothing more is sent. */
  close(): void {
    this.#isClosed = true
    this.#stopListening()
  }

  #pump(): void {
    this.#isWanted = true
    if (this.#isPumping || this.#isClosed) return
    this.#isPumping = true
    this.#run().then(
      () => {
        this.#isPumping = false
        if (this.#isWanted) this.#pump()
      },
      (error: unknown) => this.#finish(error),
    )
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#isClosed) {
      this.#isWanted = false
      while (!this.#isClosed && this.#credit > 0 && (await this.#step()));
    }
  }

  /** Sends one item; answers false when there is nothing to send now. */
  async #step(): Promise<boolean> {
    if (this.#cursor === undefined) return await this.#replay()
    const sinceSent = performance.now() - this.#lastSentAt
    if (sinceSent < JOIN_MS) await sleep(JOIN_MS - sinceSent)
    const chunk = await this.#parts.log.read(this.#cursor, Math.min(LIMITS.streamFrameMaxBytes, this.#credit))
    if (this.#isClosed) return false
    if (chunk === undefined) return await this.#replay()
    const length = wholeCharacters(chunk)
    if (length > 0) {
      this.#sendData(chunk.subarray(0, length))
      return true
    }
    if (chunk.length === 0 && (await this.#parts.log.size()) < this.#cursor) return await this.#replay()
    if (this.#end === undefined) return false
    return await this.#exit(this.#end.exit, chunk)
  }

  async #replay(): Promise<boolean> {
    const replay = await this.#parts.replay()
    if (this.#isClosed) return false
    const { data, offset, cols, rows } = replay
    // At the old offset, so that who loses the connection between the two items is told again.
    if (this.#cursor !== undefined)
      this.#send({ type: 'truncated', offset: this.#cursor, bytes: Math.max(0, offset - this.#cursor) })
    this.#send({ type: 'replay', offset, cols, rows, data })
    this.#cursor = offset
    return true
  }

  async #exit(exit: SessionExit | undefined, rest: Buffer): Promise<boolean> {
    await sleep(LAST_OUTPUT_MS)
    const cursor = this.#cursor ?? 0
    if (this.#isClosed) return false
    if ((await this.#parts.log.size()) > cursor + rest.length) return true
    // What is left is the beginning of a character that never came to its end.
    if (rest.length > 0) this.#sendData(rest)
    this.#send({ type: 'exit', offset: this.#cursor ?? cursor, ...(exit === undefined ? {} : { exit }) })
    this.#finish()
    return false
  }

  #sendData(bytes: Buffer): void {
    this.#cursor = (this.#cursor ?? 0) + bytes.length
    this.#send({ type: 'data', offset: this.#cursor, data: bytes.toString('utf8') })
    // A full frame means there is more: it is sent without a pause.
    if (bytes.length < LIMITS.streamFrameMaxBytes / 2) this.#lastSentAt = performance.now()
  }

  #send(item: TerminalItem): void {
    this.#credit -= streamItemBytes(item)
    this.#parts.send(item)
  }

  #finish(error?: unknown): void {
    if (this.#isClosed) return
    this.close()
    this.#parts.onEnd(error)
  }
}

/** How many bytes at the front are whole UTF-8 characters; what is no UTF-8 at all counts as whole. */
export function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    if ((byte & 0xc0) === 0x80) continue
    const wanted = byte >= 0xf0 && byte < 0xf8 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return wanted > back && byte < 0xf8 ? bytes.length - back : bytes.length
  }
  return bytes.length
}
