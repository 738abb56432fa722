import type { TerminalSize } from '@ai-orchestration/protocol'
import type { PrivateModes } from './private-modes.ts'

/** Bytes of scrollback in a replay: with the screen and as JSON it stays well under the orchestrator's payload limit. */
const HISTORY_BYTES = 160 * 1024

/** A terminal as tmux describes it; lines hold text and colours. */
export interface Screen extends TerminalSize {
  /** One line per row. */
  visible: string[]
  /** The same rows with wrapped ones joined. */
  joined: string[]
  /** Lines above the screen, oldest first, wrapped ones joined. */
  history: string[]
  /** From 0. */
  cursor: { x: number; y: number; isVisible: boolean }
  /** The main screen, while the alternate one is shown. */
  main?: { visible: string[]; x: number; y: number }
  /** Rows from 0. */
  scrollRegion: { upper: number; lower: number }
  isOrigin: boolean
  isWrapping: boolean
  isInserting: boolean
  isKeypadApplication: boolean
  isCursorApplication: boolean
  mouse: { isClicks: boolean; isDrags: boolean; isAll: boolean; isSgr: boolean; isUtf8: boolean }
}

/** Text that paints a screen with its scrollback and modes onto a terminal of its size that has just been reset. */
export function paintScreen(screen: Screen, modes: Pick<PrivateModes, 'isBracketedPaste' | 'isFocusReported'>): string {
  const { rows, main, cursor } = screen
  // tmux writes line drawing as shifted-out characters; G1 must hold them.
  const parts = ['\x1b)0', paintHistory(screen.history, rows)]
  if (main !== undefined) parts.push(paintRows(main.visible, []), moveTo(main.x, main.y), '\x1b[?1049h')
  parts.push(paintRows(screen.visible, wrappedRows(screen)), setModes(screen, modes))
  // The origin mode counts rows from the scroll region, and setting it moves the cursor.
  const y = screen.isOrigin ? cursor.y - screen.scrollRegion.upper : cursor.y
  parts.push(moveTo(Math.min(cursor.x, screen.cols - 1), y))
  return parts.join('')
}

function paintHistory(history: readonly string[], rows: number): string {
  let bytes = 0
  let first = history.length
  while (first > 0) {
    bytes += Buffer.byteLength(history[first - 1] ?? '') + 2
    if (bytes > HISTORY_BYTES) break
    first--
  }
  if (first === history.length) return ''
  let background = ''
  const painted = history.slice(first).map((line) => {
    const begun = background
    background = backgroundAfter(line, background)
    // A terminal fills the line that it scrolls in with the background colour of that moment.
    return `${begun}${line}${background === '' ? '' : '\x1b[49m'}\r\n`
  })
  // Exactly so many line breaks scroll the last line of the history out of the screen.
  return `${painted.join('')}\x1b[0m\x0f${'\n'.repeat(rows - 1)}`
}

/** Paints each row at its place, since a line break at the bottom would scroll. */
function paintRows(visible: readonly string[], wrapped: readonly boolean[]): string {
  const painted = visible.map((row, y) => (wrapped[y] === true ? row : `${moveTo(0, y)}${row}`))
  return `${painted.join('')}\x1b[0m\x0f`
}

/**
 * Which rows continue the one above, so that a long URL can be clicked and copied as one. Only where the row above is
 * full of plain characters, because the terminal must wrap at just that place.
 */
function wrappedRows({ visible, joined, cols }: Screen): boolean[] {
  const wrapped: boolean[] = []
  let line = 0
  let text = ''
  for (const [y, row] of visible.entries()) {
    const above = visible[y - 1] ?? ''
    wrapped.push(text !== '' && row !== '' && isFull(above, cols))
    text += row
    if (text === joined[line]) {
      line++
      text = ''
    } else if (joined[line]?.startsWith(text) !== true) return []
  }
  return wrapped
}

function isFull(row: string, cols: number): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it takes out what colours the text
  const plain = row.replace(/\x1b\[[\d;:]*m/g, '')
  return plain.length === cols && /^[\x20-\x7e]*$/.test(plain)
}

/** The sequence that sets the background colour as it is after a line of tmux's. */
function backgroundAfter(line: string, before: string): string {
  let background = before
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it looks for colours
  for (const [sequence, parameters = ''] of line.matchAll(/\x1b\[([\d;:]*)m/g)) {
    if (/^(0?$|0;|49$)/.test(parameters)) background = ''
    else if (/^(4[0-8]|10[0-7])([;:]|$)/.test(parameters)) background = sequence
  }
  return background
}

function setModes(screen: Screen, modes: Pick<PrivateModes, 'isBracketedPaste' | 'isFocusReported'>): string {
  const { scrollRegion, rows, mouse } = screen
  const isWholeScreen = scrollRegion.upper === 0 && scrollRegion.lower === rows - 1
  return [
    isWholeScreen ? '' : `\x1b[${scrollRegion.upper + 1};${scrollRegion.lower + 1}r`,
    screen.isOrigin ? '\x1b[?6h' : '',
    screen.isWrapping ? '' : '\x1b[?7l',
    screen.isInserting ? '\x1b[4h' : '',
    screen.isKeypadApplication ? '\x1b=' : '',
    screen.isCursorApplication ? '\x1b[?1h' : '',
    mouse.isClicks ? '\x1b[?1000h' : '',
    mouse.isDrags ? '\x1b[?1002h' : '',
    mouse.isAll ? '\x1b[?1003h' : '',
    mouse.isUtf8 ? '\x1b[?1005h' : '',
    mouse.isSgr ? '\x1b[?1006h' : '',
    modes.isBracketedPaste ? '\x1b[?2004h' : '',
    modes.isFocusReported ? '\x1b[?1004h' : '',
    screen.cursor.isVisible ? '' : '\x1b[?25l',
  ].join('')
}

function moveTo(x: number, y: number): string {
  return `\x1b[${y + 1};${x + 1}H`
}
