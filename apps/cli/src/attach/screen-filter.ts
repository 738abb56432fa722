/** Sequences longer than this are passed on as they are: no terminal waits for ever either. Characters. */
const HELD_MAX_CHARS = 64 * 1024

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: escape sequences are made of them
const SEQUENCE =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[P_^X][^\u001b]*(?:\u001b\\)|[ -/]*[0-Z\\^-~])/g
const UNFINISHED = /\u001b(?:\[[0-?]*[ -/]*|\][^\u0007\u001b]*\u001b?|[P_^X][^\u001b]*\u001b?|[ -/]*)?$/
const ALTERNATE = /^\u001b\[\?(?:1049|1047|47)([hl])$/
/** Questions a terminal answers by typing. tmux has answered them already, so a second answer would be typed text. */
const QUESTION =
  /^\u001b(?:\[[>=?]?[0-9;]*(?:c|n)|\[\??[0-9;]*\$p|\[>[0-9;]*q|\[\?u|\[(?:1[1-9]|2[01])(?:;[0-9]*)*t|\](?:4;[0-9]+|1[0-9]);\?|P(?:\+q|\$q)|Z)/
/** What agent output must not do to a person's terminal: write the clipboard (OSC 52), or reset it whole. */
const REFUSED = /^\u001b(?:\]52;|c$)/
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: as above

/**
 * Makes a session's output safe to pass to the terminal of a person: the whole attach lives on the alternate screen, so
 * the session's own switches between screens are taken out, and so are questions that tmux has already answered.
 */
export class ScreenFilter {
  #held = ''

  /** Filters the next piece; `hasLeftAlternate` asks for a fresh picture, because the main screen must be painted again. */
  take(text: string): { text: string; hasLeftAlternate: boolean } {
    const all = this.#held + text
    const tail = UNFINISHED.exec(all)
    const isHeld = tail !== null && tail[0].length <= HELD_MAX_CHARS
    this.#held = isHeld ? tail[0] : ''
    const whole = isHeld ? all.slice(0, tail.index) : all
    let hasLeftAlternate = false
    const filtered = whole.replace(SEQUENCE, (sequence) => {
      const alternate = ALTERNATE.exec(sequence)
      if (alternate !== null) {
        if (alternate[1] === 'l') hasLeftAlternate = true
        return CLEAR
      }
      return QUESTION.test(sequence) || REFUSED.test(sequence) ? '' : sequence
    })
    return { text: filtered, hasLeftAlternate }
  }

  /** A picture of the whole screen: what it was before is cleared, and every mode is switched off first. */
  replay(text: string): string {
    this.#held = ''
    return SOFT_RESET + CLEAR + this.take(text).text
  }
}

const CLEAR = '\u001b[H\u001b[2J'

/** Everything a program inside may have switched on, off again, without clearing the screen. */
export const SOFT_RESET = [
  '\u001b[?1000l\u001b[?1002l\u001b[?1003l\u001b[?1005l\u001b[?1006l\u001b[?1015l', // mouse
  '\u001b[?1004l', // focus reports
  '\u001b[?2004l', // bracketed paste
  '\u001b[?2026l', // synchronised output
  '\u001b[?1l\u001b>', // application keys
  '\u001b[<u\u001b[>4;0m', // extended keyboards
  '\u001b[r\u001b[?6l\u001b[?7h\u001b[4l', // scroll region, origin, wrap, insert
  '\u001b(B\u001b)B\u000f', // character sets
  '\u001b[0 q\u001b[?25h', // cursor
  '\u001b[0m', // colours
].join('')

/** Goes to the alternate screen, cleared. */
export const ENTER_SCREEN = `\u001b[?1049h${CLEAR}`

/** Back to the screen of before, with every mode as a shell expects it. */
// Nothing after the switch may move the cursor, which the switch has put back.
export const LEAVE_SCREEN = `${SOFT_RESET}\u001b[?1049l\u001b[0m\u001b[?25h`

// biome-ignore-start lint/suspicious/noControlCharactersInRegex: taking them out is the point
const CONTROLS = /[\u0000-\u0008\u000b-\u001f\u007f]/g
const CONTROLS_BUT_ESCAPE = /[\u0000-\u0008\u000b-\u001a\u001c-\u001f\u007f]/g
const SCROLL_AND_TOP = /(?:\u001b\[0?m|\u000f|\n)*\u001b\[1;1H/
const ROW = /\u001b\[\d+;1H/g
// biome-ignore-end lint/suspicious/noControlCharactersInRegex: as above

/** The text of a picture of the screen, which puts each row at its place: history and rows as lines, without the empty end. */
export function replayText(data: string, keepColours: boolean): string {
  // Of two screens, the one that is shown is painted last.
  const shown = data.slice(Math.max(0, data.lastIndexOf('\u001b[?1049h')))
  const lines = shown.replace(SCROLL_AND_TOP, (match, at: number) => (at > 0 && match.includes('\n') ? '\r\n' : ''))
  return plainText(lines.replace(ROW, '\r\n'), keepColours).trimEnd()
}

/** Plain text of terminal output: no escape sequences (colours stay when asked for), no stray controls. */
export function plainText(text: string, keepColours: boolean): string {
  return text
    .replace(SEQUENCE, (sequence) => (keepColours && /^.\[[0-9;:]*m$/s.test(sequence) ? sequence : ''))
    .replaceAll('\r\n', '\n')
    .replace(keepColours ? CONTROLS_BUT_ESCAPE : CONTROLS, '')
}
