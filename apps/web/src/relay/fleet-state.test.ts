import type { AioEvent, Question, Session } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { applyEvent, type FleetState } from './fleet-state.ts'

const at = '2026-11-22T12:00:00.000Z'
const orchestratorId = '01JAAAAAAAAAAAAAAAAAAAAAAA'
const commandId = '01JBBBBBBBBBBBBBBBBBBBBBBB'
const placed = { at, orchestratorId, position: `${orchestratorId}.1` }
const empty: FleetState = { orchestrators: [], projects: [], sessions: [], questions: [], settled: {}, commands: {} }

function session(id: string, state: Session['state'] = 'running'): Session {
  const [projectId = '', name = ''] = id.split('_')
  return {
    id,
    projectId,
    name,
    orchestratorId,
    agent: 'shell',
    branch: `feature/${name}`,
    base: { ref: 'main', commit: '0'.repeat(40) },
    state,
    isolation: 'full',
    createdAt: at,
    updatedAt: at,
  }
}

function play(events: AioEvent[], from = empty): FleetState {
  return events.reduce(applyEvent, from)
}

test('a session appears, changes in place and goes', () => {
  const one = play([
    { ...placed, type: 'session_updated', session: session('a_one', 'starting') },
    { ...placed, type: 'session_updated', session: session('a_two') },
    { ...placed, type: 'session_updated', session: session('a_one', 'running') },
  ])
  expect(one.sessions?.map((each) => [each.id, each.state])).toEqual([
    ['a_one', 'running'],
    ['a_two', 'running'],
  ])
  const gone = play([{ ...placed, type: 'session_removed', sessionId: 'a_one', projectId: 'a' }], one)
  expect(gone.sessions?.map((each) => each.id)).toEqual(['a_two'])
  expect(gone.projects).toBe(one.projects)
})

test('lists that are not loaded stay so, since one item is not a list', () => {
  const state = play([{ ...placed, type: 'session_updated', session: session('a_one') }], {
    ...empty,
    sessions: undefined,
  })
  expect(state.sessions).toBeUndefined()
})

test('a removed project takes its sessions along', () => {
  const state = play([{ ...placed, type: 'project_removed', projectId: 'a' }], {
    ...empty,
    sessions: [session('a_one'), session('b_one')],
  })
  expect(state.sessions?.map((each) => each.id)).toEqual(['b_one'])
})

test('a command collects its steps by name and keeps its end', () => {
  const state = play([
    { ...placed, type: 'command_request', commandId, command: 'create_session', by: 'laptop', sessionId: 'a_one' },
    { ...placed, type: 'command_progress', commandId, step: { name: 'worktree', state: 'running' } },
    { ...placed, type: 'command_progress', commandId, step: { name: 'container', state: 'running' } },
    { ...placed, type: 'command_progress', commandId, step: { name: 'worktree', state: 'done', ms: 8 } },
    { ...placed, type: 'command_result', commandId, command: 'create_session', output: {} },
    { ...placed, type: 'command_progress', commandId, message: 'late' },
  ])
  expect(state.commands[commandId]).toMatchObject({
    state: 'succeeded',
    sessionId: 'a_one',
    steps: [
      { name: 'worktree', state: 'done', ms: 8 },
      { name: 'container', state: 'running' },
    ],
  })
})

test('a question waits until it is settled, and then who answered is known', () => {
  const question: Question = {
    id: '01JCCCCCCCCCCCCCCCCCCCCCCC',
    sessionId: 'a_one',
    projectId: 'a',
    orchestratorId,
    createdAt: at,
    title: 'touch x',
    kind: 'egress',
    detail: { host: 'host.example', port: 443, protocol: 'https' },
    options: [{ id: 'allow', label: 'Allow', style: 'allow' }],
    state: 'pending',
  }
  const asked = play([{ ...placed, type: 'question_asked', question }])
  expect(asked.questions).toEqual([question])
  const answer = { optionId: 'allow', by: { name: 'phone' }, at }
  const settled = play(
    [{ ...placed, type: 'question_answered', question: { ...question, state: 'answered', answer } }],
    asked,
  )
  expect(settled.questions).toEqual([])
  expect(settled.settled[question.id]?.answer?.by.name).toBe('phone')
})

test('a snapshot replaces what was known', () => {
  const state = play(
    [
      {
        at,
        position: `${orchestratorId}.9`,
        type: 'snapshot',
        orchestrators: [],
        projects: [],
        sessions: [session('b_one')],
        questions: [],
      },
    ],
    { ...empty, sessions: [session('a_one')] },
  )
  expect(state.sessions?.map((each) => each.id)).toEqual(['b_one'])
})
