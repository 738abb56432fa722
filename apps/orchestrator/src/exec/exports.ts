import type { Readable } from 'node:stream'
import {
  AioError,
  type ExecItem,
  type ExportFormat,
  type ExportRequest,
  LIMITS,
  streamItemBytes,
} from '@ai-orchestration/protocol'

/** What exports need of sessions. */
export interface ExportSessions {
  /** @throws AioError NOT_FOUND, EXEC_ERROR */
  export(id: string, format: ExportFormat, onOutput: (stdout: Readable) => Promise<void>): Promise<void>
}

/** An export that was asked for. */
export interface OpenExport {
  request: ExportRequest
  send: (item: ExecItem) => void
  /** Called once when nothing more follows, with an error when it is not complete; not when closed from this side. */
  onEnd: (error?: unknown) => void
}

/** Exports of sessions' work as streams, which look like an exec to whoever reads them. */
export class Exports {
  readonly #sessions: ExportSessions

  constructor(services: { sessions: ExportSessions }) {
    this.#sessions = services.sessions
  }

  /** Starts an export; it sends nothing before it is given credit. */
  open({ request, send, onEnd }: OpenExport): { credit(bytes: number): void; close(): void } {
    let credit = 0
    let isClosed = false
    let wake: () => void = () => undefined
    const closed = new AioError('CANCELLED', 'Nobody reads this export any more.')
    const onOutput = async (stdout: Readable) => {
      for await (const chunk of stdout) {
        for (let start = 0; start < chunk.length; start += LIMITS.streamFrameMaxBytes) {
          while (credit <= 0 && !isClosed) {
            const { promise, resolve } = Promise.withResolvers<void>()
            wake = resolve
            await promise
          }
          if (isClosed) throw closed
          const data = chunk.subarray(start, start + LIMITS.streamFrameMaxBytes).toString('base64')
          const item: ExecItem = { type: 'stdout', data }
          credit -= streamItemBytes(item)
          send(item)
        }
      }
    }
    const finish = (error?: unknown) => {
      if (isClosed) return
      isClosed = true
      if (error === undefined) send({ type: 'exit', code: 0 })
      onEnd(error)
    }
    // In a microtask, so that whoever opens it has it before it ends.
    queueMicrotask(() => {
      if (!isClosed) this.#sessions.export(request.sessionId, request.format, onOutput).then(() => finish(), finish)
    })
    return {
      credit: (bytes) => {
        credit += bytes
        wake()
      },
      close: () => {
        isClosed = true
        wake()
      },
    }
  }
}
