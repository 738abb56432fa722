import type { Question } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { answeredWith, faceOfQuestion, outcomeOf, placesOf } from './question-face.ts'

const asked = {
  ...{ id: '01JCCCCCCCCCCCCCCCCCCCCCCC', sessionId: 'a_b', projectId: 'a', state: 'pending' as const },
  ...{ orchestratorId: '01JAAAAAAAAAAAAAAAAAAAAAAA', createdAt: '2026-11-22T12:00:00.000Z' },
}
const tool = (name: string, input?: unknown, title = 'a title'): Question => ({
  ...{ ...asked, kind: 'tool', title },
  detail: { toolCallId: 'c', key: 'k', tool: name, ...(input === undefined ? {} : { input }) },
  options: [
    { id: 'option-0', label: 'Yes', style: 'allow' },
    { id: 'option-1', label: 'No', style: 'deny' },
    { id: 'always-session', label: 'Always allow Bash in this session', style: 'allow', always: 'session' },
    { id: 'always-project', label: 'Always allow Bash in this project', style: 'allow', always: 'project' },
  ],
})

test('shows the very command, with what the agent says of it beside it', () => {
  const face = faceOfQuestion(
    tool('Bash', { command: 'pnpm test', description: 'Run the tests' }, 'Something harmless'),
  )
  expect(face).toMatchObject({ verb: 'Run a command', exact: { sign: '$', text: 'pnpm test', note: 'Run the tests' } })
  expect(face.input).toBeUndefined()
})

test('offers all that a tool is called with when there is more than the card shows', () => {
  expect(faceOfQuestion(tool('Bash', { command: 'ls', sudo: true })).input).toContain('"sudo": true')
  expect(faceOfQuestion(tool('Edit', { file_path: '/project/a_b/x.ts', new_string: 'y' }))).toMatchObject({
    ...{ verb: 'Edit a file', exact: { sign: 'file', text: '/project/a_b/x.ts' } },
    input: expect.stringContaining('new_string'),
  })
  expect(faceOfQuestion(tool('mcp__db__drop')).verb).toBe('Use mcp__db__drop')
})

test('keeps what an agent wrote inert', () => {
  const { exact } = faceOfQuestion(tool('Bash', { command: 'echo \u001b[2K\u202egnp.exe' }))
  expect(exact?.text).toBe('echo \ufffdgnp.exe')
})

test('puts each way to answer into its place, the narrowest standing answer first', () => {
  const places = placesOf(tool('Bash'))
  expect([places.once?.id, places.deny?.id, places.always.map(({ id }) => id), places.others]).toEqual([
    ...['option-0', 'option-1'],
    ...[['always-session', 'always-project'], []],
  ])
})

test('says how it went', () => {
  const question = tool('Bash')
  const option = (at: number) => question.options[at] ?? { id: '', label: '', style: 'neutral' }
  expect([0, 1, 2].map((at) => answeredWith(question, option(at)))).toEqual([
    'Allowed once',
    'Denied',
    'Always allowed in this session',
  ])
  expect(outcomeOf({ ...question, state: 'withdrawn' })).toBe('No longer needed')
})
