/** What keys came to: text to send on, and whether the person wants to leave. */
export interface Keys {
  forward: string
  isLeaving: boolean
}

const CTRL_BRACKET = '\u001d'
const PASTE_BEGIN = '\u001b[200~'
const PASTE_END = '\u001b[201~'

/**
 * Finds the two ways out in what is typed: `Ctrl-]` anywhere, and `~.` at the beginning of a line (`~~` types one
 * tilde there). Pasted text is never a way out.
 */
export class LeaveDetector {
  #isLineStart = true
  #hasTilde = false
  #isPasting = false
  #recent = ''

  /** Takes the next typed text. */
  take(text: string): Keys {
    let forward = ''
    for (const char of text) {
      this.#watchPaste(char)
      if (this.#isPasting) {
        forward += this.#heldTilde() + char
        continue
      }
      if (char === CTRL_BRACKET) return { forward, isLeaving: true }
      if (this.#hasTilde) {
        this.#hasTilde = false
        this.#isLineStart = false
        if (char === '.') return { forward, isLeaving: true }
        forward += char === '~' ? '~' : `~${char}`
      } else if (char === '~' && this.#isLineStart) {
        this.#hasTilde = true
        continue
      } else forward += char
      this.#isLineStart = char === '\r' || char === '\n'
    }
    return { forward, isLeaving: false }
  }

  #heldTilde(): string {
    const held = this.#hasTilde ? '~' : ''
    this.#hasTilde = false
    return held
  }

  #watchPaste(char: string): void {
    this.#recent = (this.#recent + char).slice(-PASTE_BEGIN.length)
    if (this.#recent === PASTE_BEGIN) this.#isPasting = true
    else if (this.#recent === PASTE_END) this.#isPasting = false
  }
}
