import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Terminal } from '@xterm/headless'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../log.ts'
import { run } from '../process/run.ts'
import { PrivateModes } from './private-modes.ts'
import { replayScreen } from './replay.ts'
import { TerminalLog } from './terminal-log.ts'
import { Tmux } from './tmux.ts'

const size = { cols: 60, rows: 15 }
const log = createLogger('silent')
let dir: string
let tmux: Tmux

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-replay-'))
  tmux = await Tmux.open({ aioRun: dir, log })
})
afterAll(async () => {
  await tmux[Symbol.asyncDispose]()
  await run('tmux', ['-S', join(dir, 'tmux.sock'), 'kill-server'], { allowFailure: true })
  await rm(dir, { recursive: true, force: true })
})

const ESC = '\x1b'
const lines = (count: number, line: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => `${line(index)}\r\n`).join('')
const url = `https://example.com/${'0123456789'.repeat(9)}`

/** What a program has printed when the viewer comes, and what it prints then. */
const cases: Record<string, { before: string; after?: string }> = {
  'plain text': { before: 'one\r\ntwo\r\nthree' },
  'colours, attributes and wide characters': {
    before: `${ESC}[1;31mred${ESC}[0m ${ESC}[48;5;27mblue${ESC}[49m ${ESC}[38;2;1;2;3mrgb${ESC}[m ${ESC}[3;4;7;9mall${ESC}[m 漢字é`,
  },
  'more lines than the screen, some of them wrapped': {
    before: lines(100, (index) => `${index} ${index % 7 === 0 ? url : ''}`),
    after: lines(3, (index) => `after ${index}`),
  },
  'a long link on the screen': { before: `see:\r\n${url}\r\nend` },
  'backgrounds at the ends of lines, scrolled': {
    before: `${lines(40, (index) => `${ESC}[1;4${index % 8}m ${index} ${index % 3 === 0 ? ' '.repeat(55) : ''}${ESC}[49m`)}${ESC}[0mend`,
  },
  'a line as wide as the screen': { before: `${'x'.repeat(60)}\r\n${'y'.repeat(60)}\r\nz` },
  'line drawing': {
    before: `${ESC}(0lqqqk${ESC}(B\r\n${ESC}(0x${ESC}(B   ${ESC}(0x${ESC}(B\r\n${ESC}(0mqqqj${ESC}(B end`,
  },
  'a full-screen program over a shell with history': {
    before:
      lines(30, (index) => `shell ${index}`) +
      `$ vi${ESC}[?1049h${ESC}[?1h${ESC}=${ESC}[?25l${ESC}[2J${ESC}[H${ESC}[44mtitle${ESC}[m${ESC}[5;10Hbody`,
    after: `${ESC}[7;7Hmore${ESC}[?25h`,
  },
  'a full-screen program that ends after the viewer came': {
    before: `$ vi${ESC}[?1049h${ESC}[2J${ESC}[5;10Hbody`,
    after: `${ESC}[?1049l\r\n$ `,
  },
  'mouse, paste and focus modes': {
    before: `${ESC}[?1000h${ESC}[?1002h${ESC}[?1003h${ESC}[?1006h${ESC}[?2004h${ESC}[?1004hready`,
  },
  'modes that were taken back': {
    before: `${ESC}[?1000h${ESC}[?2004h${ESC}[?1004h${ESC}[?25l${ESC}[?1000l${ESC}[?2004l${ESC}[?1004l${ESC}[?25hready`,
  },
  'a scroll region, scrolled after the viewer came': {
    before: `top\r\n${ESC}[2;10r${ESC}[15;1Hbottom${ESC}[10;1H`,
    after: lines(12, (index) => `inside ${index}`),
  },
  'origin mode in a scroll region': {
    before: `${ESC}[3;12r${ESC}[?6h${ESC}[2;5Hhere`,
    after: `${ESC}[1;1Hfirst row of the region`,
  },
  'no wrapping, and inserting': { before: `${ESC}[?7labc${ESC}[4h${ESC}[1;1H`, after: 'XY' },
  'a cursor in the middle of a prompt': { before: `$ echo hello${ESC}[5D`, after: `${ESC}[Kworld` },
}

/** Prints `before` from a file, then `after` once a line is typed. */
async function startProgram(name: string, { before, after = '' }: { before: string; after?: string }) {
  const files = [join(dir, `${name}.before`), join(dir, `${name}.after`)]
  await writeFile(files[0] ?? '', before)
  await writeFile(files[1] ?? '', after)
  const argv = ['sh', '-c', 'stty raw -echo; cat "$1"; head -c 1 >/dev/null; cat "$2"; exec sleep 60', 'sh', ...files]
  const logFile = join(dir, `${name}.log`)
  await tmux.newSession({ name, argv, ...size, logFile })
  await vi.waitFor(async () => expect((await readFile(logFile)).length).toBe(Buffer.byteLength(before)))
  return logFile
}

async function screenOf(...texts: string[]): Promise<Terminal> {
  const terminal = new Terminal({ ...size, scrollback: 5_000, allowProposedApi: true })
  for (const text of texts) await new Promise<void>((resolve) => terminal.write(text, resolve))
  return terminal
}

/** Everything of a terminal that a person could see, now or by scrolling, and what decides on what input does. */
function describeTerminal(terminal: Terminal) {
  const { active, normal, alternate } = terminal.buffer
  return {
    type: active.type,
    cursor: [active.cursorX, active.cursorY],
    modes: terminal.modes,
    normal: describeBuffer(terminal, normal),
    alternate: active.type === 'alternate' ? describeBuffer(terminal, alternate) : undefined,
  }
}

const PLAIN = '0,-1,0,-1,0,0,0,0,0'

function describeBuffer(terminal: Terminal, buffer: Terminal['buffer']['normal']) {
  const rows: string[] = []
  for (let y = 0; y < buffer.length; y++) {
    const line = buffer.getLine(y)
    let row = line?.isWrapped === true ? '↪' : ''
    let last = PLAIN
    for (let x = 0; x < terminal.cols; x++) {
      const cell = line?.getCell(x)
      if (cell === undefined || cell.getWidth() === 0) continue
      const flags = [cell.isBold(), cell.isItalic(), cell.isUnderline(), cell.isInverse(), cell.isStrikethrough()]
      const style = [cell.getFgColorMode(), cell.getFgColor(), cell.getBgColorMode(), cell.getBgColor(), ...flags]
      const next = style.map(Number).join()
      row += `${next === last ? '' : `<${next}>`}${cell.getChars() || ' '}`
      last = next
    }
    rows.push(row.trimEnd())
  }
  while (rows.at(-1) === '') rows.pop()
  return rows
}

describe('a viewer who comes late sees what one who was there from the start sees', () => {
  it.each(Object.entries(cases).map(([title, printed], index) => ({ title, printed, name: `case-${index}` })))(
    '$title',
    async ({ printed, name }) => {
      const logFile = await startProgram(name, printed)
      await using terminalLog = await TerminalLog.open(logFile, log)
      const replay = await replayScreen(tmux, name, terminalLog, new PrivateModes())
      expect(replay).toMatchObject({ ...size, offset: Buffer.byteLength(printed.before) })
      const { before, after = '' } = printed
      expect(describeTerminal(await screenOf(replay.data))).toEqual(describeTerminal(await screenOf(before)))
      // `text()` of the SDK resets by the terminal's own sequence instead of a call.
      const again = await screenOf('\x1b[?1049hgarbage', `\x1bc${replay.data}`, after)
      expect(describeTerminal(again)).toEqual(describeTerminal(await screenOf(before, after)))

      await tmux.input(name, 'x')
      await vi.waitFor(async () => expect(await terminalLog.size()).toBe(replay.offset + Buffer.byteLength(after)))
      const shown = (await tmux.capture(name)).split('\n').map((line) => line.trimEnd())
      const { active } = again.buffer
      const rows = Array.from({ length: size.rows }, (_, y) =>
        active.getLine(active.baseY + y)?.translateToString(true),
      )
      // tmux writes lines that it wrapped as one, and line drawing as letters.
      if (!before.includes(url) && !before.includes(`${ESC}(0`))
        expect(
          rows
            .map((row) => row?.trimEnd())
            .join('\n')
            .trimEnd(),
        ).toBe(shown.join('\n').trimEnd())
    },
  )
})
