import { appendFileSync, existsSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** A log file is set aside at this size, in bytes, and so many old ones are kept: 40 MiB per service at most. */
const ROTATE_AT_BYTES = 10 * 1024 * 1024
const OLD_FILES = 3

/** Appends lines to a file that is rotated by size: `relay.log`, `relay.log.1`, … */
export class LogFile {
  readonly path: string
  readonly #rotateAtBytes: number
  #bytes: number

  constructor(path: string, rotateAtBytes: number = ROTATE_AT_BYTES) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    this.path = path
    this.#rotateAtBytes = rotateAtBytes
    this.#bytes = existsSync(path) ? statSync(path).size : 0
  }

  /** Appends one line. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line) + 1
    if (this.#bytes > 0 && this.#bytes + bytes > this.#rotateAtBytes) this.#rotate()
    // Synchronous, so that the last words of a service are there when it dies; lines come a few times a second at most.
    appendFileSync(this.path, `${line}\n`, { mode: 0o600 })
    this.#bytes += bytes
  }

  #rotate(): void {
    for (let at = OLD_FILES - 1; at >= 0; at -= 1) {
      const from = at === 0 ? this.path : `${this.path}.${at}`
      if (existsSync(from)) renameSync(from, `${this.path}.${at + 1}`)
    }
    this.#bytes = 0
  }
}
