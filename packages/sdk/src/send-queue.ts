/**
 * Sends pieces in order, one call at a time; what is added while a call is under way is joined to the next one.
 * A failed call fails the pieces it carried and those that waited, because their order would be broken.
 */
export class SendQueue<Piece> {
  readonly #send: (piece: Piece) => Promise<unknown>
  readonly #join: (pieces: Piece[]) => Piece[]
  #waiting: { piece: Piece; resolve: () => void; reject: (thrown: unknown) => void }[] = []
  #isSending = false

  /** `join` makes as few pieces as possible, each small enough for one call. */
  constructor(send: (piece: Piece) => Promise<unknown>, join: (pieces: Piece[]) => Piece[]) {
    this.#send = send
    this.#join = join
  }

  /** Resolves when the piece has been sent and answered. */
  push(piece: Piece): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => this.#waiting.push({ piece, resolve, reject }))
    // Nobody has to await a keystroke; whoever does still gets the error.
    sent.catch(() => undefined)
    if (!this.#isSending) void this.#drain()
    return sent
  }

  async #drain(): Promise<void> {
    this.#isSending = true
    while (this.#waiting.length > 0) {
      // Let what is written in the same turn join in.
      await Promise.resolve()
      const batch = this.#waiting
      this.#waiting = []
      try {
        for (const piece of this.#join(batch.map((entry) => entry.piece))) await this.#send(piece)
        for (const entry of batch) entry.resolve()
      } catch (thrown) {
        for (const entry of [...batch, ...this.#waiting]) entry.reject(thrown)
        this.#waiting = []
      }
    }
    this.#isSending = false
  }
}

/** Joins texts and cuts them to a length that one call may carry, never within a character. */
export function joinText(pieces: string[], maxChars: number): string[] {
  const text = pieces.join('')
  const parts: string[] = []
  for (let at = 0; at < text.length; ) {
    let end = Math.min(at + maxChars, text.length)
    const code = text.charCodeAt(end - 1)
    if (end < text.length && code >= 0xd800 && code <= 0xdbff) end -= 1
    parts.push(text.slice(at, end))
    at = end
  }
  return parts
}

/** Joins bytes and cuts them to a length that one call may carry. */
export function joinBytes(pieces: Uint8Array[], maxBytes: number): Uint8Array[] {
  const total = pieces.reduce((sum, piece) => sum + piece.length, 0)
  const all = new Uint8Array(total)
  let filled = 0
  for (const piece of pieces) {
    all.set(piece, filled)
    filled += piece.length
  }
  const parts: Uint8Array[] = []
  for (let at = 0; at < total; at += maxBytes) parts.push(all.subarray(at, at + maxBytes))
  return parts
}
