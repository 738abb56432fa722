import { constants } from 'node:os'
import { AioError } from '@ai-orchestration/protocol'

/** The status a shell would tell: the program's own, or 128 and the number of the signal that ended it. */
export function exitCodeOf(code: number | null, signal: NodeJS.Signals | null): number {
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

/** How runc says, on the program's stderr, that it could not start one. */
const COMPLAINT = /^(?:time="[^"]*" level=error msg="|ERRO\[\d*\] )(.*?)"?$/

/**
 * Keeps back what runc itself writes on stderr, so that our failure is not taken for the program's. Only lines that look
 * like runc's are held, and they are given back unless it failed with its own statuses.
 */
export class RuntimeComplaint {
  #held: Buffer[] = []
  #isOver = false

  /** What of these bytes can be passed on now. */
  filter(chunk: Buffer): Buffer {
    if (this.#isOver) return chunk
    this.#held.push(chunk)
    const text = Buffer.concat(this.#held).toString('latin1')
    const lines = text.split('\n').filter((line) => line !== '')
    if (lines.every((line) => line.startsWith('time="') || line.startsWith('ERRO[')) && text.length < 8_192)
      return Buffer.alloc(0)
    return this.giveUp()
  }

  /** True while something is kept back. */
  get isHolding(): boolean {
    return this.#held.length > 0
  }

  /** What was kept back; from now on nothing is. */
  giveUp(): Buffer {
    this.#isOver = true
    return Buffer.concat(this.#held.splice(0))
  }

  /** The failure, when what was held and the status say that runc failed and no program ran. */
  error(code: number): AioError | undefined {
    if (this.#isOver || (code !== 1 && code !== 255)) return undefined
    const lines = Buffer.concat(this.#held).toString().trim().split('\n')
    const message = COMPLAINT.exec(lines.at(-1) ?? '')?.[1]
    if (message === undefined) return undefined
    if (/does not exist|stopped|not running/.test(message))
      return new AioError('NOT_RUNNING', 'The session does not run, so nothing can be run in it.')
    return new AioError('EXEC_ERROR', `The program could not be started in the session: ${message.slice(0, 500)}`)
  }
}
