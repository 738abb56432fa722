import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ERROR_STATUS, type ErrorCode } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { parseDuration } from './duration.ts'
import { exitCodeOf } from './exit-code.ts'
import { inert, table } from './output/table.ts'
import { ago } from './output/time.ts'
import { progressLine } from './progress.ts'
import { LogFile } from './up/log-file.ts'
import { readableLogLine } from './up/log-line.ts'

test('every error code ends the process with one of the exit codes of the contract', () => {
  const codes = Object.keys(ERROR_STATUS) as ErrorCode[]
  const special = { INVALID_INPUT: 2, UNAVAILABLE: 3, UNAUTHORIZED: 4, FORBIDDEN: 4, TIMEOUT: 5 }
  for (const code of codes) expect([code, exitCodeOf(code)]).toEqual([code, { ...special }[code as 'TIMEOUT'] ?? 1])
})

test.each([
  ['30', 30_000],
  ['500ms', 500],
  ['1.5s', 1_500],
  ['5m', 300_000],
  ['30d', 2_592_000_000],
  ['0', undefined],
  ['-1', undefined],
  ['soon', undefined],
  ['', undefined],
])('a time of %s', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})

test('tables are aligned, without lines, and what others wrote is inert in them', () => {
  expect(
    table(
      ['a', 'bb'],
      [
        ['x\u001b[31m', '1'],
        ['\u202eyy', '22'],
      ],
    ),
  ).toBe('A       BB\nx�[31m  1\n�yy     22')
  expect(inert('a\nb\u0000')).toBe('a�b�')
})

test('ages have one unit', () => {
  const now = Date.parse('2026-01-02T00:00:00Z')
  expect(
    ['2026-01-01T23:59:58Z', '2026-01-01T23:10:00Z', '2026-01-01T01:00:00Z', '2025-12-01T00:00:00Z'].map((at) =>
      ago(at, now),
    ),
  ).toEqual(['2s', '50m', '23h', '32d'])
})

test('progress says step, outcome and time', () => {
  const event = { type: 'command_progress' as const, position: 'p', at: 'a', orchestratorId: 'o', commandId: 'c' }
  expect(progressLine({ ...event, progress: 40, step: { name: 'overlay', state: 'done', ms: 17.4 } })).toBe(
    ' 40% overlay done (17 ms)',
  )
  expect(progressLine({ ...event, message: 'cloning\u001b[0m' })).toBe('cloning�[0m')
  expect(progressLine(event)).toBeUndefined()
})

test('of a log only warnings, errors and what is no log line are shown', () => {
  expect(readableLogLine('{"level":30,"msg":"fine"}')).toBeUndefined()
  expect(readableLogLine('{"level":40,"msg":"careful"}')).toEqual({ isError: false, text: 'careful' })
  expect(readableLogLine('{"level":"error","msg":"bad","err":{"message":"disk full"}}')).toEqual({
    isError: true,
    text: 'bad: disk full',
  })
  expect(readableLogLine('{"event":"ready"}')).toBeUndefined()
  expect(readableLogLine('Segmentation fault')).toEqual({ isError: true, text: 'Segmentation fault' })
})

test('a log is set aside when it is full, and three old ones are kept', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aio-log-'))
  const log = new LogFile(join(folder, 'relay.log'), 20)
  for (let at = 0; at < 12; at += 1) log.write(`line ${String(at).padStart(3, '0')}`)
  const text = ['', '.1', '.2', '.3'].map((end) => readFileSync(join(folder, `relay.log${end}`), 'utf8'))
  expect(text).toEqual(['line 010\nline 011\n', 'line 008\nline 009\n', 'line 006\nline 007\n', 'line 004\nline 005\n'])
  expect(() => readFileSync(join(folder, 'relay.log.4'))).toThrow()
  rmSync(folder, { recursive: true })
})
