import { randomFillSync } from 'node:crypto'
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Space for the ends of what was begun, in bytes: some hundreds of answers of ordinary size. */
const RESERVE_BYTES = 8 * 1024 * 1024
const PIECE_BYTES = 1024 * 1024

/**
 * Space on a disk that is kept by a file of no content, and given free when the disk is full: then what has happened can still
 * be written down, and nothing new begins until the file has been made again (D-5).
 */
export class Reserve {
  readonly #path: string
  readonly #bytes: number
  /** True while the space is kept. */
  isThere: boolean

  constructor(path: string, bytes: number = RESERVE_BYTES) {
    this.#path = path
    this.#bytes = bytes
    this.isThere = existsSync(path)
  }

  /** Makes it where there is room for it and as much again. @returns whether it is there. */
  make(): boolean {
    if (this.isThere) return true
    const { bavail, bsize } = statfsSync(dirname(this.#path))
    if (bavail * bsize < 2 * this.#bytes) return false
    const making = `${this.#path}.making`
    try {
      fill(making, this.#bytes)
      renameSync(making, this.#path)
      this.isThere = true
      return true
    } catch {
      rmSync(making, { force: true }) // somebody else took the room meanwhile: it is tried again
      return false
    }
  }

  /** Gives the space free. */
  free(): void {
    rmSync(this.#path, { force: true })
    this.isThere = false
  }
}

// Not zeros, which some filesystems do not store.
function fill(path: string, bytes: number): void {
  const file = openSync(path, 'w', 0o600)
  try {
    const piece = randomFillSync(Buffer.alloc(Math.min(bytes, PIECE_BYTES)))
    for (let written = 0; written < bytes; written += piece.length) writeSync(file, piece)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
