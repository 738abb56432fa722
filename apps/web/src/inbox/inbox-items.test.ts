import type { Question, Session } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { inboxOf } from './inbox-items.ts'

const at = '2026-11-22T12:00:00.000Z'
const session = (name: string, more: Partial<Session>): Session => ({
  ...{ id: `a_${name}`, projectId: 'a', name, orchestratorId: '01JAAAAAAAAAAAAAAAAAAAAAAA', agent: 'claude' },
  ...{ branch: `feature/${name}`, base: { ref: 'main', commit: '0'.repeat(40) }, state: 'running', isolation: 'full' },
  ...{ createdAt: at, updatedAt: at },
  ...more,
})
const question: Question = {
  ...{ id: '01JCCCCCCCCCCCCCCCCCCCCCCC', sessionId: 'a_asks', projectId: 'a', title: 'touch x', state: 'pending' },
  ...{ orchestratorId: '01JAAAAAAAAAAAAAAAAAAAAAAA', createdAt: at, kind: 'egress' },
  detail: { host: 'host.example', port: 443, protocol: 'https' },
  options: [{ id: 'allow', label: 'Allow', style: 'allow' }],
}
const why = (sessions: Session[], gone: string[] = []) =>
  inboxOf([question], sessions, gone).map((item) =>
    item.kind === 'question' ? 'question' : `${item.session.name} ${item.why}`,
  )

test('holds questions, failures, and agents that wait on their own screen', () => {
  expect(
    why([
      session('asks', { attention: 'needs_input' }),
      session('waits', { attention: 'needs_input' }),
      session('works', { attention: 'working' }),
      session('broke', { state: 'failed' }),
      session('gave-up', { attention: 'failed' }),
      session('exit-1', { state: 'stopped', exit: { reason: 'exited', code: 1, at } }),
      session('exit-0', { state: 'stopped', exit: { reason: 'exited', code: 0, at } }),
      session('stopped-by-hand', { state: 'stopped', exit: { reason: 'killed', at } }),
    ]),
  ).toEqual(['question', 'waits waits', 'broke failed', 'gave-up failed', 'exit-1 failed'])
})

test('what was dismissed stays away until it happens again', () => {
  const broke = session('exit-1', { state: 'stopped', exit: { reason: 'exited', code: 1, at } })
  const gone = inboxOf([], [broke], []).map(({ id }) => id)
  expect(why([broke], gone)).toEqual(['question'])
  const again = session('exit-1', {
    state: 'stopped',
    exit: { reason: 'exited', code: 1, at: '2026-11-23T12:00:00.000Z' },
  })
  expect(why([again], gone)).toEqual(['question', 'exit-1 failed'])
})
