import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Budget } from '@ai-orchestration/protocol'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Questions } from '../question/questions.ts'
import { Rules } from '../question/rules.ts'
import { type BudgetPlan, Budgets } from './budgets.ts'
import { Prices } from './prices.ts'
import { UsageBook } from './usage-book.ts'

const log = pino({ level: 'silent' })
const me = { name: 'me' }
const forever = new AbortController().signal

let dir: string
let questions: Questions
let usage: UsageBook
let frozen: Set<string>
let plan: BudgetPlan

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'aio-budget-'))
  const rules = await Rules.open({ projects: { list: () => [], paths: () => ({ dir }) }, log })
  questions = new Questions({
    journal: { keepQuestion: async () => undefined },
    ...{ rules, log, orchestratorId: '01J00000000000000000000000', kept: [] },
  })
  const prices = new Prices([{ model: 'priced', input: 1, output: 10, cacheRead: 0, cacheWrite: 0 }])
  usage = new UsageBook({ prices, tell: () => undefined })
  frozen = new Set()
})
afterEach(async () => {
  usage[Symbol.dispose]()
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
})

async function open(session: Budget | undefined, project?: Budget): Promise<Budgets> {
  plan = { session, project }
  return await Budgets.open({
    ...{ questions, usage, log, projects: { list: () => [{ id: 'p' }] } },
    sessions: {
      planOf: () => plan,
      createdAt: () => '2026-01-01T00:00:00.000Z',
      ofProject: () => ['p_a', 'p_b'],
      directoryOf: () => dir,
      freeze: async (id) => void frozen.add(id),
      thaw: async (id) => void frozen.delete(id),
    },
    now: () => Date.parse('2026-01-01T01:00:00.000Z'),
  })
}
const turn = (session: string, model = 'm') =>
  usage.add(session, { model, inputTokens: 100_000, outputTokens: 10_000, cacheReadTokens: 0, cacheWriteTokens: 0 })
const pending = () => questions.list().filter(({ state }) => state === 'pending')
const answer = async (optionId: string) => await questions.answer({ questionId: pending()[0]?.id ?? '', optionId }, me)

it.each([
  [{ turns: 1 }, 'turns'],
  [{ tokens: 110_000 }, 'tokens'],
  [{ costUsd: 0.2 }, 'costUsd'],
  [{ minutes: 60 }, 'minutes'],
] as const)('a budget of %o holds the next call, freezes the session and asks once', async (budget, reached) => {
  const budgets = await open(budget)
  if (reached !== 'minutes') expect(await budgets.admit('p_a', forever)).toEqual({ isAllowed: true })
  turn('p_a', 'priced-1')
  const held = [budgets.admit('p_a', forever), budgets.admit('p_a', forever)]
  await vi.waitFor(() => expect([...frozen]).toEqual(['p_a']))
  expect(pending()).toMatchObject([{ kind: 'budget', sessionId: 'p_a', detail: { scope: 'session', reached } }])
  await answer('more')
  expect(await Promise.all(held)).toEqual([{ isAllowed: true }, { isAllowed: true }])
  expect(frozen.size).toBe(0)
})

it('as much again is as much again, without a limit is for good, and both outlive the process', async () => {
  const budgets = await open({ turns: 1 })
  turn('p_a')
  const first = budgets.admit('p_a', forever)
  await answer('more')
  await first
  turn('p_a')
  const second = budgets.admit('p_a', forever)
  expect(pending()).toMatchObject([{ detail: { budget: { turns: 2 } } }])
  await answer('unlimited')
  expect(await second).toEqual({ isAllowed: true })
  await vi.waitFor(async () => {
    const next = await open({ turns: 1 })
    const quick = AbortSignal.timeout(50)
    expect(await next.admit('p_a', quick)).toEqual({ isAllowed: true })
  })
})

it('the budget of a project counts its sessions together, and one question is for all of them', async () => {
  const budgets = await open(undefined, { turns: 2 })
  turn('p_a')
  turn('p_b')
  const held = [budgets.admit('p_a', forever), budgets.admit('p_b', forever)]
  await vi.waitFor(() => expect([...frozen]).toEqual(['p_a', 'p_b']))
  expect(pending()).toMatchObject([{ detail: { scope: 'project', usage: { turns: 2, unpricedTurns: 2 } } }])
  await answer('refuse')
  expect(await Promise.all(held)).toMatchObject([{ isAllowed: false }, { isAllowed: false }])
  expect(frozen.size).toBe(0)
  expect(await budgets.admit('p_a', forever)).toMatchObject({ reason: expect.stringContaining('2 turns') })
  expect(pending()).toEqual([])
})

it('an answer lets a session go on that an orchestrator before this one had frozen', async () => {
  const before = await open({ turns: 1 })
  turn('p_a')
  const gone = new AbortController()
  const held = before.admit('p_a', gone.signal).catch(() => undefined)
  await vi.waitFor(() => expect(frozen.size).toBe(1))
  gone.abort()
  await held
  await open({ turns: 1 })
  await answer('more')
  await vi.waitFor(() => expect(frozen.size).toBe(0))
})

it('a call that is given up while it waits leaves the question', async () => {
  const budgets = await open({ turns: 1 })
  turn('p_a')
  const hungUp = new AbortController()
  const held = budgets.admit('p_a', hungUp.signal)
  await vi.waitFor(() => expect(frozen.size).toBe(1))
  hungUp.abort()
  await expect(held).rejects.toThrow()
  expect(pending()).toHaveLength(1)
})

it('the shipped prices can be read, and what is not in them has no price', async () => {
  const prices = await Prices.open(dir)
  const used = { inputTokens: 1_000_000, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0 }
  expect(prices.of({ ...used, model: 'claude-sonnet-4-5-20250929' })).toBe(3)
  expect(prices.of({ ...used, model: 'another' })).toBeUndefined()
  expect(prices.of({ ...used, model: undefined })).toBeUndefined()
})
