/** 1 MiB: a thousandth of half a million ids is mistaken for known, a seventh of two million; then a look at the disk decides. */
const BITS = 2 ** 23
const PROBES = 4

/**
 * Which ids were ever seen, as far as that can be said in little memory (a Bloom filter): nearly every command is new, and to
 * ask the database whether it is cost more than all else that is done to accept it in memory.
 */
export class SeenIds {
  readonly #bits = new Uint32Array(BITS / 32)

  /** Notes an id. */
  add(id: string): void {
    for (const bit of bitsOf(id)) this.#bits[bit >>> 5] = (this.#bits[bit >>> 5] ?? 0) | (1 << (bit & 31))
  }

  /** False when it was certainly never seen. */
  mayHave(id: string): boolean {
    return bitsOf(id).every((bit) => ((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0)
  }
}

// Two hashes (FNV-1a, forwards and with other constants) stand for any number of them.
function bitsOf(id: string): number[] {
  let a = 0x811c9dc5
  let b = 0x9e3779b9
  for (let at = 0; at < id.length; at += 1) {
    const char = id.charCodeAt(at)
    a = Math.imul(a ^ char, 0x01000193)
    b = Math.imul(b ^ char, 0x85ebca6b) ^ (b >>> 13)
  }
  const bits: number[] = []
  for (let probe = 0; probe < PROBES; probe += 1) bits.push(((a + Math.imul(probe, b | 1)) >>> 0) % BITS)
  return bits
}
