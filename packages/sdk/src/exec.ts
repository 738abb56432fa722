import { AioError, type ExecItem } from '@ai-orchestration/protocol'
import { decodeBase64, encodeBase64 } from './base64.ts'
import type { Sink } from './resuming-stream.ts'
import { joinBytes, SendQueue } from './send-queue.ts'

/** Bytes of stdin per call; their base64 stays below the relay's limit of 65,536 characters. */
const INPUT_MAX_BYTES = 45 * 1024

/** Most output that may wait unread, in bytes; an exec cannot be resumed, so beyond it the exec fails. */
const UNREAD_MAX_BYTES = 64 * 1024 * 1024

/** How a program is run. */
export interface ExecOptions {
  /** Directory, absolute or relative to the workspace; the workspace when absent. */
  cwd?: string | undefined
  /** True when `write` and `end` will be used; else stdin is empty. */
  stdin?: boolean | undefined
  /** Stops listening when aborted. */
  signal?: AbortSignal | undefined
}

/** A piece of output of a program. */
export interface ExecOutput {
  type: 'stdout' | 'stderr'
  data: Uint8Array
}

/** The calls an exec makes. */
export interface ExecCalls {
  open: (sink: Sink<ExecItem>) => () => void
  input: (input: { data?: string; end?: boolean }) => Promise<unknown>
  onEnd: () => void
}

/**
 * A program that runs inside a session. Read `stdout` and `stderr` apart, or iterate the whole for both in order; read
 * each piece once.
 */
export class Exec implements AsyncIterable<ExecOutput>, AsyncDisposable {
  /** Its exit status. @throws AioError when the program could not be started or the connection was lost. */
  readonly exit: Promise<number>
  /** What it writes to its standard output. */
  readonly stdout: AsyncIterable<Uint8Array>
  /** What it writes to its standard error. */
  readonly stderr: AsyncIterable<Uint8Array>
  readonly #calls: ExecCalls
  readonly #input: SendQueue<Uint8Array>
  readonly #stop: () => void
  /** Settles when the relay knows this exec: input that came before would find nobody. */
  readonly #opened = Promise.withResolvers<void>()
  #unread: ExecOutput[] = []
  #unreadBytes = 0
  #isOver = false
  #error: AioError | undefined
  #waiting: (() => void)[] = []
  #settle: { resolve: (code: number) => void; reject: (error: AioError) => void }

  constructor(calls: ExecCalls, signal?: AbortSignal) {
    this.#calls = calls
    this.#input = new SendQueue(
      async (data) => {
        await this.#opened.promise
        await calls.input({ data: encodeBase64(data) })
      },
      (pieces) => joinBytes(pieces, INPUT_MAX_BYTES),
    )
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    this.exit = promise
    this.#settle = { resolve, reject }
    // Whoever only reads the output gets the error there.
    promise.catch(() => undefined)
    this.stdout = { [Symbol.asyncIterator]: () => this.#read('stdout') }
    this.stderr = { [Symbol.asyncIterator]: () => this.#read('stderr') }
    this.#opened.promise.catch(() => undefined)
    this.#stop = calls.open({
      started: () => this.#opened.resolve(),
      item: (item) => this.#take(item),
      lost: () => this.#fail(lost()),
      failed: (error) => this.#fail(error),
      ended: () => this.#fail(lost()),
    })
    const abort = () => this.#fail(new AioError('CANCELLED', 'Listening to this program was stopped.'))
    if (signal?.aborted === true) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  }

  /** Writes to its standard input; calls keep their order. */
  write(data: Uint8Array | string): Promise<void> {
    return this.#input.push(typeof data === 'string' ? new TextEncoder().encode(data) : data)
  }

  /** Closes its standard input, after all that was written. */
  async end(): Promise<void> {
    await this.#input.push(new Uint8Array())
    await this.#calls.input({ end: true })
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ExecOutput, void> {
    for (;;) {
      const output = await this.#next()
      if (output === undefined) return
      yield output
    }
  }

  /** Stops listening; the program is told that nobody reads any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#fail(new AioError('CANCELLED', 'Listening to this program was stopped.'))
  }

  async *#read(type: ExecOutput['type']): AsyncGenerator<Uint8Array, void> {
    for (;;) {
      const output = await this.#next(type)
      if (output === undefined) return
      yield output.data
    }
  }

  async #next(type?: ExecOutput['type']): Promise<ExecOutput | undefined> {
    for (;;) {
      const at = type === undefined ? 0 : this.#unread.findIndex((output) => output.type === type)
      const [output] = at < 0 ? [] : this.#unread.splice(at, 1)
      if (output !== undefined) {
        this.#unreadBytes -= output.data.length
        return output
      }
      if (this.#isOver) {
        if (this.#error !== undefined) throw this.#error
        return undefined
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  #take(item: ExecItem): void {
    if (this.#isOver) return
    if (item.type === 'exit') {
      this.#settle.resolve(item.code)
      this.#finish()
      return
    }
    const data = decodeBase64(item.data)
    this.#unread.push({ type: item.type, data })
    this.#unreadBytes += data.length
    if (this.#unreadBytes > UNREAD_MAX_BYTES)
      this.#fail(
        new AioError(
          'SLOW_CONSUMER',
          'More than 64 MiB of output waited unread. Read stdout and stderr, or redirect the output inside the session.',
        ),
      )
    this.#wake()
  }

  #fail(error: AioError): void {
    if (this.#isOver) return
    this.#error = error
    this.#opened.reject(error)
    this.#settle.reject(error)
    this.#finish()
  }

  #finish(): void {
    this.#isOver = true
    // In a microtask: the source may report before it has returned what stops it.
    queueMicrotask(() => this.#stop())
    this.#calls.onEnd()
    this.#wake()
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

function lost(): AioError {
  return new AioError(
    'UNAVAILABLE',
    'The connection to the relay was lost while the program ran. It is not run again by itself; look at the session first.',
  )
}
