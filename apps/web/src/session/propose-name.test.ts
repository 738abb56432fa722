import { isSlug } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { proposeName, proposeTitle } from './propose-name.ts'

const none = new Set<string>()

test.each([
  ['Add a nightly job that reconciles our ledger', 'add-nightly-job-reconciles'],
  ["Fix the user's login form", 'fix-users-login-form'],
  ['Überprüfe die Größe', 'uberprufe-die-grosse'],
  ['', 'session'],
  ['修正してください', 'session'],
  ['the of and', 'session'],
])('%j is called %s', (prompt, name) => {
  expect(proposeName(prompt, none)).toBe(name)
})

test('any prompt gives a valid name', () => {
  for (const prompt of [
    '-'.repeat(500),
    `${'x'.repeat(90)} y`,
    '$(rm -rf /)',
    '../../etc/passwd',
    '\u202e evil',
    'a\0b',
  ])
    expect(isSlug(proposeName(prompt, none)), prompt).toBe(true)
})

test('a name that is taken is counted up', () => {
  expect(proposeName('Login form', new Set(['login-form', 'login-form-2']))).toBe('login-form-3')
  expect(proposeName('', new Set(['session']))).toBe('session-2')
})

test('a title is the first sentence, cut at a word', () => {
  expect(proposeTitle('Add a job. Then rest.')).toBe('Add a job')
  expect(proposeTitle('  \n')).toBeUndefined()
  expect(proposeTitle(`${'word '.repeat(40)}`)?.endsWith('word…')).toBe(true)
})
