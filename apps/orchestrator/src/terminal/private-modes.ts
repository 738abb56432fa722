import type { TerminalLog } from './terminal-log.ts'

/** Bytes read at once. */
const CHUNK_BYTES = 256 * 1024
/** Longest sequence looked for, in bytes; so much of a chunk is looked at again with the next one. */
const OVERLAP_BYTES = 32

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
    for (let at = chunk.indexOf('\x1b'); at >= 0; at = chunk.indexOf('\x1b', at + 1)) {
      const next = chunk[at + 1]
      if (next === 0x63)
        this.#reset() // ESC c
      else if (next === 0x5b && chunk[at + 2] === 0x3f)
        this.#apply(chunk.toString('latin1', at + 3, at + OVERLAP_BYTES))
    }
  }

  #apply(sequence: string): void {
    const [, modes = '', letter] = /^([\d;]+)([hl])/.exec(sequence) ?? []
    for (const mode of modes.split(';')) {
      if (mode === '2004') this.isBracketedPaste = letter === 'h'
      if (mode === '1004') this.isFocusReported = letter === 'h'
    }
  }

  #reset(): void {
    this.isBracketedPaste = false
    this.isFocusReported = false
  }
}
