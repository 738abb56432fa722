import type { TerminalLog } from './terminal-log.ts'

/** Bytes read at once. */
const CHUNK_BYTES = 256 * 1024
/** Longest sequence looked for, in bytes; so much of a chunk is looked at again with the next one. */
const OVERLAP_BYTES = 32
/** Begins the sequences that set and reset private modes, and the one that resets the whole terminal. */
const SET = '\x1b[?'
const RESET = '\x1bc'

/**
 * Terminal modes that tmux keeps and does not tell (3.3a has no format for them): found by reading the log, each byte
 * once.
 */
export class PrivateModes {
  /** Pasted text comes between marks (mode 2004). */
  isBracketedPaste = false
  /** The program is told when the terminal gains and loses focus (mode 1004). */
  isFocusReported = false
  #offset = 0

  /** Reads the log up to `offset`. */
  async readUpTo(log: TerminalLog, offset: number): Promise<void> {
    this.#offset = Math.max(this.#offset, log.firstOffset)
    while (this.#offset < offset) {
      const from = Math.max(log.firstOffset, this.#offset - OVERLAP_BYTES)
      const chunk = await log.read(from, Math.min(CHUNK_BYTES, offset - from))
      if (chunk === undefined || from + chunk.length <= this.#offset) return
      this.#scan(chunk)
      this.#offset = from + chunk.length
    }
  }

  #scan(chunk: Buffer): void {
    // indexOf is far faster than a pattern over megabytes of coloured text, in which `ESC [` is everywhere.
    let set = chunk.indexOf(SET)
    let reset = chunk.indexOf(RESET)
    while (set >= 0 || reset >= 0) {
      if (reset < 0 || (set >= 0 && set < reset)) {
        this.#apply(chunk.toString('latin1', set + SET.length, set + OVERLAP_BYTES))
        set = chunk.indexOf(SET, set + 1)
      } else {
        this.isBracketedPaste = false
        this.isFocusReported = false
        reset = chunk.indexOf(RESET, reset + 1)
      }
    }
  }

  #apply(sequence: string): void {
    const [, modes = '', letter] = /^([\d;]+)([hl])/.exec(sequence) ?? []
    for (const mode of modes.split(';')) {
      if (mode === '2004') this.isBracketedPaste = letter === 'h'
      if (mode === '1004') this.isFocusReported = letter === 'h'
    }
  }
}
