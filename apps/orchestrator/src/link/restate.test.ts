import type { Orchestrator, OrchestratorEvent, Project } from '@ai-orchestration/protocol'
import { expect, it } from 'vitest'
import { restate } from './restate.ts'

const AT = '2026-01-01T00:00:00.000Z'
const ORCHESTRATOR_ID = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const project = (id: string, title: string): Project => ({
  id,
  name: id,
  title,
  orchestratorId: ORCHESTRATOR_ID,
  defaultBranch: 'main',
  createdAt: AT,
})
const orchestrator: Orchestrator = {
  id: ORCHESTRATOR_ID,
  name: 'now',
  version: '0.1.0',
  machine: { cores: 1, memoryBytes: 1, kernel: 'none' },
  agents: [],
  isolation: 'full',
  warnings: [],
  state: 'online',
  lastSeenAt: AT,
}

it('says once how everything stands that an old event is about', () => {
  const old: OrchestratorEvent[] = [
    { type: 'project_updated', projectId: 'one', project: project('one', 'old') },
    { type: 'project_updated', projectId: 'one', project: project('one', 'older still') },
    { type: 'project_updated', projectId: 'gone', project: project('gone', 'old') },
    { type: 'session_removed', projectId: 'one', sessionId: 'one_a' },
    { type: 'orchestrator_updated', orchestrator: { ...orchestrator, name: 'before' } },
    { type: 'command_ack', commandId: ORCHESTRATOR_ID },
  ]
  const items = old.map((event, index) => ({
    seq: index + 1,
    kind: event.type === 'command_ack' ? ('progress' as const) : ('state' as const),
    text: JSON.stringify(event),
    lost: 0,
  }))
  const standing = {
    orchestrator,
    projects: [project('one', 'new'), project('two', 'untold')],
    sessions: [],
    questions: [],
  }
  expect(restate(items, standing)).toEqual([
    { type: 'project_updated', projectId: 'one', project: project('one', 'new') },
    { type: 'project_removed', projectId: 'gone' },
    { type: 'session_removed', projectId: 'one', sessionId: 'one_a' },
    { type: 'orchestrator_updated', orchestrator },
  ])
})
