import { appendFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { PrivateModes } from './private-modes.ts'
import { TerminalLog } from './terminal-log.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-modes-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

it.each([
  ['nothing', 'plain', [false, false]],
  ['one', '\x1b[?2004h', [true, false]],
  ['several at once', '\x1b[?1000;1004;2004h', [true, true]],
  ['taken back', '\x1b[?2004;1004h text \x1b[?2004l', [false, true]],
  ['a full reset', '\x1b[?2004;1004h\x1bc', [false, false]],
  ['set after a full reset', '\x1bc\x1b[?2004h', [true, false]],
  ['alike, but none', '\x1b[2004h \x1b[?12004h \x1b[?2004$p', [false, false]],
])('finds %s, however the output comes in pieces', async (title, output, [isBracketedPaste, isFocusReported]) => {
  const path = join(dir, title)
  await using log = await TerminalLog.open(path, pino({ level: 'silent' }))
  const byteByByte = new PrivateModes()
  // Over the seam of what is read at once.
  const bytes = Buffer.concat([Buffer.alloc(256 * 1024 - 5, 'x'), Buffer.from(output)])
  await appendFile(path, bytes)
  for (let offset = bytes.length - output.length; offset <= bytes.length; offset++)
    await byteByByte.readUpTo(log, offset)
  const atOnce = new PrivateModes()
  await atOnce.readUpTo(log, bytes.length)
  for (const modes of [byteByByte, atOnce]) expect(modes).toMatchObject({ isBracketedPaste, isFocusReported })
})
