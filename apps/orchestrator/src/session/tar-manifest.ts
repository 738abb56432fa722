import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'

/** One regular file of an archive. */
export interface TarEntry {
  path: string
  /** As stored: of a file with holes, the map of its holes and the rest. */
  bytes: number
  sha256: string
}

const BLOCK = 512

/**
 * Reads an archive from disk (POSIX pax format, as `tar --format=posix` writes it) and hashes each regular file in it.
 *
 * @returns the files, and the hash of the whole archive.
 * @throws AioError EXEC_ERROR when it is cut short or damaged.
 */
export async function readTar(path: string): Promise<{ files: TarEntry[]; sha256: string; bytes: number }> {
  const whole = createHash('sha256')
  const reader = new TarReader()
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    whole.update(chunk)
    bytes += chunk.length
    reader.write(chunk)
  }
  return { files: reader.end(), sha256: whole.digest('hex'), bytes }
}

class TarReader {
  readonly #files: TarEntry[] = []
  #buffer: Buffer = Buffer.alloc(0)
  #current: { path: string; bytes: number; left: number; hash: Hash } | undefined
  #skip = 0
  #pax: Map<string, string> = new Map()
  #isEnded = false

  write(chunk: Buffer): void {
    let rest: Buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
    for (;;) {
      if (this.#current !== undefined) {
        const part = rest.subarray(0, this.#current.left)
        this.#current.hash.update(part)
        this.#current.left -= part.length
        rest = rest.subarray(part.length)
        if (this.#current.left > 0) break
        this.#finish(this.#current)
      }
      const skipped = Math.min(this.#skip, rest.length)
      this.#skip -= skipped
      rest = rest.subarray(skipped)
      if (this.#skip > 0 || rest.length < BLOCK) break
      const used = this.#header(rest)
      if (used === 0) break
      rest = rest.subarray(used)
    }
    this.#buffer = rest
  }

  end(): TarEntry[] {
    if (!this.#isEnded || this.#current !== undefined)
      throw new AioError('EXEC_ERROR', 'The archive is cut short, so nothing was removed.')
    return this.#files
  }

  /** Answers how many bytes were used: 0 when more are needed. */
  #header(block: Buffer): number {
    if (block.subarray(0, BLOCK).every((byte) => byte === 0)) {
      this.#isEnded = true
      return BLOCK
    }
    checkSum(block)
    const type = String.fromCharCode(block[156] ?? 0)
    const declared = numberOf(block.subarray(124, 136))
    if (type === 'x' || type === 'g') {
      const padded = BLOCK + Math.ceil(declared / BLOCK) * BLOCK
      if (block.length < padded) return 0
      if (type === 'x') this.#pax = parsePax(block.subarray(BLOCK, BLOCK + declared))
      return padded
    }
    const bytes = Number(this.#pax.get('size') ?? declared)
    const path = this.#pax.get('GNU.sparse.name') ?? this.#pax.get('path') ?? joinName(block)
    this.#pax = new Map()
    if (type !== '0' && type !== '\0') {
      this.#skip = Math.ceil(bytes / BLOCK) * BLOCK
      return BLOCK
    }
    this.#current = { path, bytes, left: bytes, hash: createHash('sha256') }
    if (bytes === 0) this.#finish(this.#current)
    return BLOCK
  }

  #finish(entry: { path: string; bytes: number; hash: Hash }): void {
    this.#files.push({ path: entry.path, bytes: entry.bytes, sha256: entry.hash.digest('hex') })
    this.#current = undefined
    this.#skip = (BLOCK - (entry.bytes % BLOCK)) % BLOCK
  }
}

function checkSum(block: Buffer): void {
  let sum = 0
  // The sum counts its own field as spaces.
  for (let index = 0; index < BLOCK; index++) sum += index >= 148 && index < 156 ? 0x20 : (block[index] ?? 0)
  if (sum !== numberOf(block.subarray(148, 156)))
    throw new AioError('EXEC_ERROR', 'The archive is damaged, so nothing was removed.')
}

/** Octal text, or for large values the GNU form: a first byte with its highest bit set and then a plain number. */
function numberOf(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) === 0) return Number.parseInt(textOf(field).trim() || '0', 8)
  return field.subarray(1).reduce((value, byte) => value * 256 + byte, (field[0] ?? 0) & 0x7f)
}

function textOf(field: Buffer): string {
  const end = field.indexOf(0)
  return field.subarray(0, end < 0 ? field.length : end).toString('latin1')
}

function joinName(block: Buffer): string {
  const prefix = textOf(block.subarray(345, 500))
  const name = Buffer.from(textOf(block.subarray(0, 100)), 'latin1').toString('utf8')
  return prefix === '' ? name : `${Buffer.from(prefix, 'latin1').toString('utf8')}/${name}`
}

/** Lines `{length} {key}={value}\n`, where the length counts itself. */
function parsePax(data: Buffer): Map<string, string> {
  const fields = new Map<string, string>()
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at)
    const length = Number(data.subarray(at, space).toString('latin1'))
    if (space < 0 || !(length > 0)) throw new AioError('EXEC_ERROR', 'The archive is damaged, so nothing was removed.')
    const field = data.subarray(space + 1, at + length - 1).toString('utf8')
    const equals = field.indexOf('=')
    fields.set(field.slice(0, equals), field.slice(equals + 1))
    at += length
  }
  return fields
}
