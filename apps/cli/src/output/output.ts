import { styleText } from 'node:util'
import type { AioError } from '@ai-orchestration/protocol'

type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold' | 'cyan'

/** Where a command's words go: results to stdout, everything else to stderr. */
export class Output {
  /** True when a program reads: exactly one JSON value, or one per line for streams. */
  readonly isJson: boolean
  readonly #canColour: boolean

  constructor(options: { isJson: boolean; canColour: boolean }) {
    this.isJson = options.isJson
    this.#canColour = options.canColour
  }

  /** The result: `value` for programs, what `human` makes of it for people. */
  result<T>(value: T, human: (value: T) => string): void {
    const text = this.isJson ? JSON.stringify(value) : human(value)
    if (text !== '') process.stdout.write(`${text}\n`)
  }

  /** A line for people on stderr. */
  note(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  /** An error, where its reader looks for it. */
  error(error: Pick<AioError, 'code' | 'message' | 'details'>): void {
    const { code, message, details } = error
    if (this.isJson)
      process.stdout.write(
        `${JSON.stringify({ error: { code, message, ...(details === undefined ? {} : { details }) } })}\n`,
      )
    else process.stderr.write(`${this.colour('red', 'error', process.stderr)} ${message}\n`)
  }

  /** Colours text when the stream is a terminal and colours are wanted. */
  colour(colour: Colour, text: string, stream: NodeJS.WriteStream = process.stdout): string {
    return this.#canColour && stream.isTTY === true ? styleText(colour, text, { validateStream: false }) : text
  }
}
