import { setTimeout as sleep } from 'node:timers/promises'
import type { TerminalSize } from '@ai-orchestration/protocol'
import { paintScreen, type Screen } from './paint-screen.ts'
import type { PrivateModes } from './private-modes.ts'
import type { TerminalLog } from './terminal-log.ts'
import type { Tmux } from './tmux.ts'

/** Lines of scrollback that a replay holds at most. */
const HISTORY_LINES = 2_000
/** Output that tmux has read may not have reached the log yet; so long is waited for it, in milliseconds. */
const SETTLE_MS = 3
/** How often a quiet moment is waited for, before bytes are rather sent twice than lost. */
const ATTEMPTS = 4
/** Bytes of the log shown of a terminal that is gone. */
const TAIL_BYTES = 128 * 1024

/** A screen to begin with, and the offset in the log from which to go on. */
export interface Replay extends TerminalSize {
  data: string
  offset: number
}

const FORMAT = [
  'pane_width pane_height history_size alternate_on alternate_saved_x alternate_saved_y cursor_x cursor_y cursor_flag',
  'scroll_region_upper scroll_region_lower origin_flag wrap_flag insert_flag keypad_flag keypad_cursor_flag',
  'mouse_standard_flag mouse_button_flag mouse_all_flag mouse_sgr_flag mouse_utf8_flag',
]
  .join(' ')
  .split(' ')

/**
 * The present screen of a living (or dead, but kept) terminal as text that paints it.
 *
 * @throws AioError NOT_RUNNING when tmux has no such terminal.
 */
export async function replayScreen(tmux: Tmux, name: string, log: TerminalLog, modes: PrivateModes): Promise<Replay> {
  for (let attempt = 1; ; attempt++) {
    const before = await log.size()
    const screen = await captureScreen(tmux, name)
    await sleep(SETTLE_MS)
    const isQuiet = (await log.size()) === before
    if (!isQuiet && attempt < ATTEMPTS) continue
    await modes.readUpTo(log, before)
    const { cols, rows } = screen
    return { cols, rows, data: paintScreen(screen, modes), offset: before }
  }
}

/** The end of the log, for a terminal that is gone; it begins at a line. */
export async function replayTail(log: TerminalLog): Promise<Replay> {
  const offset = await log.size()
  const from = Math.max(log.firstOffset, offset - TAIL_BYTES)
  const tail = (await log.read(from, offset - from)) ?? Buffer.alloc(0)
  const start = from === log.firstOffset && from === 0 ? 0 : tail.indexOf('\n') + 1
  return { ...log.lastSize, data: tail.toString('utf8', start), offset }
}

async function captureScreen(tmux: Tmux, name: string): Promise<Screen> {
  const [facts = '', rows = '', joined = '', saved = '', history = ''] = await tmux.inspect(name, [
    ['display-message', FORMAT.map((field) => `#{${field}}`).join(' ')],
    ['capture-pane', '-e', '-N'],
    ['capture-pane', '-e', '-N', '-J'],
    ['capture-pane', '-e', '-N', '-a', '-q'],
    ['capture-pane', '-e', '-J', '-S', String(-HISTORY_LINES), '-E', '-1'],
  ])
  const values = facts.trimEnd().split(' ').map(Number)
  const fact = (field: string): number => values[FORMAT.indexOf(field)] ?? 0
  const flag = (field: string): boolean => fact(field) === 1
  return {
    cols: fact('pane_width'),
    rows: fact('pane_height'),
    visible: lines(rows),
    joined: lines(joined),
    // With no history, tmux answers the first visible line.
    history: fact('history_size') === 0 ? [] : lines(history),
    cursor: { x: fact('cursor_x'), y: fact('cursor_y'), isVisible: flag('cursor_flag') },
    ...(flag('alternate_on')
      ? { main: { visible: lines(saved), x: fact('alternate_saved_x'), y: fact('alternate_saved_y') } }
      : {}),
    scrollRegion: { upper: fact('scroll_region_upper'), lower: fact('scroll_region_lower') },
    isOrigin: flag('origin_flag'),
    isWrapping: flag('wrap_flag'),
    isInserting: flag('insert_flag'),
    isKeypadApplication: flag('keypad_flag'),
    isCursorApplication: flag('keypad_cursor_flag'),
    mouse: {
      ...{ isClicks: flag('mouse_standard_flag'), isDrags: flag('mouse_button_flag'), isAll: flag('mouse_all_flag') },
      ...{ isSgr: flag('mouse_sgr_flag'), isUtf8: flag('mouse_utf8_flag') },
    },
  }
}

function lines(output: string): string[] {
  return output.replace(/\n$/, '').split('\n')
}
