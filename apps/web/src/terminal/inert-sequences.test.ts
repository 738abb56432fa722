import { Terminal } from '@xterm/headless'
import { expect, test } from 'vitest'
import { makeInert, withoutReports } from './inert-sequences.ts'

const QUESTIONS = [
  '\u001b[c',
  '\u001b[>c',
  '\u001b[5n',
  '\u001b[6n',
  '\u001b[?6n',
  '\u001b[?25$p',
  '\u001b[>q',
  '\u001b[18t',
  '\u001b]10;?\u0007',
  '\u001b]11;?\u001b\\',
  '\u001b]4;1;?\u0007',
  '\u001bP$qm\u001b\\',
  '\u001bP+q544e\u001b\\',
  '\u001bZ',
]

async function answersOf(isInert: boolean): Promise<string[]> {
  const terminal = new Terminal({ allowProposedApi: true })
  // The headless terminal has the parser of the one in the browser.
  if (isInert) makeInert(terminal)
  const answers: string[] = []
  terminal.onData((data) => answers.push(data))
  for (const question of QUESTIONS) await new Promise<void>((resolve) => terminal.write(question, resolve))
  return answers
}

test('a viewer answers no question of the program', async () => {
  expect((await answersOf(false)).length).toBeGreaterThan(5)
  expect(await answersOf(true)).toEqual([])
})

test('keys stay as they were typed, focus reports do not', () => {
  expect(withoutReports('ls\r')).toBe('ls\r')
  expect(withoutReports('\u001b[I')).toBe('')
  expect(withoutReports('\u001b[A\u001bOA')).toBe('\u001b[A\u001bOA')
})
