import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Attention, Session } from '@ai-orchestration/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createLogger } from '../log.ts'
import { Attentions } from './attentions.ts'
import { SessionStore } from './session-store.ts'

let directory: string
let store: SessionStore
let attentions: Attentions

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'aio-attention-'))
  store = new SessionStore(
    ({ session }) => join(directory, session.id),
    () => new Date(),
  )
  attentions = new Attentions({ store, log: createLogger('silent') })
})
afterEach(async () => {
  // Answers when nothing is written any more.
  await store.remove('shop_one')
  await rm(directory, { recursive: true, force: true })
})

async function addSession(kept: Partial<Session> = {}): Promise<void> {
  const at = new Date().toISOString()
  const session: Session = {
    ...{
      id: 'shop_one',
      projectId: 'shop',
      name: 'one',
      orchestratorId: '01M823BJ0H7ASAAPV7P032E2AS',
      agent: 'claude',
    },
    ...{ branch: 'feature/one', base: { ref: 'main', commit: 'c'.repeat(40) }, state: 'running', isolation: 'full' },
    ...{ createdAt: at, updatedAt: at, ...kept },
  }
  await store.put({ session, phase: 'ran', isOwnBranch: true })
}

const attention = (): Attention | undefined => store.require('shop_one').session.attention

describe('how an agent stands', () => {
  it('is done until a client looks, and idle at once while one does', async () => {
    await addSession()
    attentions.set('shop_one', 'working')
    attentions.set('shop_one', 'done')
    attentions.set('shop_one', 'idle')
    expect(attention()).toBe('done')
    const first = attentions.look('shop_one')
    expect(attention()).toBe('idle')
    const second = attentions.look('shop_one')
    first()
    first()
    attentions.set('shop_one', 'done')
    expect(attention()).toBe('idle')
    second()
    attentions.set('shop_one', 'done')
    expect(attention()).toBe('done')
  })

  it('is failed until it is given something else to do', async () => {
    await addSession()
    attentions.set('shop_one', 'failed')
    attentions.look('shop_one')
    attentions.set('shop_one', 'idle')
    expect(attention()).toBe('failed')
    attentions.set('shop_one', 'working')
    expect(attention()).toBe('working')
  })

  it('is told by the agent in a terminal, with a name of its conversation that is no option', async () => {
    await addSession()
    attentions.report('shop_one', { state: 'needs_input', conversation: '--resume' })
    expect(attention()).toBe('needs_input')
    expect(store.require('shop_one').conversation).toBeUndefined()
    attentions.report('shop_one', { state: 'working', conversation: '0b2c8a54-1a58-4a3c-9d0e-5b8f8a1a2b3c' })
    expect(store.require('shop_one').conversation).toBe('0b2c8a54-1a58-4a3c-9d0e-5b8f8a1a2b3c')
  })

  it.each([{ interface: 'chat' as const }, { state: 'stopped' as const }])(
    'is not told by hooks when the session has %o',
    async (kept) => {
      await addSession(kept)
      attentions.report('shop_one', { state: 'done', conversation: '0b2c8a54-1a58' })
      expect(attention()).toBeUndefined()
      expect(store.require('shop_one').conversation).toBeUndefined()
    },
  )

  it('is nothing for a session that is gone', () => {
    attentions.report('shop_gone', { state: 'done' })
    attentions.set('shop_gone', 'done')
    attentions.look('shop_gone')()
    expect(store.list()).toEqual([])
  })
})
