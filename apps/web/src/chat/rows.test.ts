import type { ChatEntry } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { queueOf, rowsOf } from './rows.ts'

const at = '2026-11-22T12:00:00.000Z'
let order = 0
const stamp = () => ({ id: `e${++order}`, order, at })
const tool = (kind: string, more = {}): ChatEntry => ({
  ...{ ...stamp(), type: 'tool', title: kind, kind, status: 'completed', content: [], locations: [] },
  ...more,
})
const prompt = (state: 'queued' | 'done'): ChatEntry => ({ ...stamp(), type: 'prompt', text: 'do', by: 'me', state })

test('merges neighbouring reads into one row, which keeps its key while it grows', () => {
  const entries = [tool('read'), tool('search'), tool('edit'), tool('read')]
  expect(rowsOf(entries.slice(0, 1), [], true).map(({ kind, key }) => [kind, key])).toEqual([['tool', entries[0]?.id]])
  expect(rowsOf(entries, [], true).map(({ kind, key }) => [kind, key])).toEqual([
    ['tools', entries[0]?.id],
    ['tool', entries[2]?.id],
    ['tool', entries[3]?.id],
  ])
})

test('a read that was asked for stays by itself, since its answer is shown', () => {
  expect(rowsOf([tool('read', { questionId: 'q' }), tool('read')], [], true).map(({ kind }) => kind)).toEqual([
    'tool',
    'tool',
  ])
})

test('prompts that wait stand in the queue, those on their way at the end', () => {
  const entries = [prompt('done'), prompt('queued')]
  expect(queueOf(entries)).toEqual([entries[1]])
  expect(rowsOf(entries, [{ id: 'x', text: 'next', at }], false).map(({ kind }) => kind)).toEqual(['prompt', 'sent'])
})

test('only the last message grows, only the last edit is open, only the last plan is the latest', () => {
  const edit = () => tool('edit', { content: [{ type: 'diff', path: 'a', newText: 'b' }] })
  const plan = (): ChatEntry => ({ ...stamp(), type: 'plan', items: [] })
  const said = (): ChatEntry => ({ ...stamp(), type: 'message', role: 'agent', text: 'hm' })
  const rows = rowsOf([edit(), plan(), said(), edit(), plan(), said()], [], true)
  expect(
    rows.map((row) =>
      'isLastEdit' in row ? row.isLastEdit : 'isLatest' in row ? row.isLatest : row.kind === 'message' && row.isGrowing,
    ),
  ).toEqual([false, false, false, true, true, true])
})
