import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecord, type SessionRecord, writeRecord } from './record.ts'
import { SessionStore } from './session-store.ts'

const record: SessionRecord = {
  session: {
    id: 'demo_one',
    projectId: 'demo',
    name: 'one',
    orchestratorId: '01J00000000000000000000000',
    agent: 'shell',
    branch: 'feature/one',
    base: { ref: 'main', commit: 'a'.repeat(40) },
    state: 'running',
    isolation: 'full',
    createdAt: '2026-01-01T00:00:00.000Z',
    updatedAt: '2026-01-01T00:00:00.000Z',
  },
  phase: 'launched',
  isOwnBranch: true,
  bootId: 'boot',
  process: { pid: 7, startTime: '99' },
}

let dir = ''
beforeAll(async () => {
  dir = await mkdtemp('/tmp/aio-record-')
})
afterAll(async () => await rm(dir, { recursive: true, force: true }))

describe('a record (D-5)', () => {
  it('reads as it was written, by its owner only', async () => {
    const path = join(dir, 'session.json')
    await writeRecord(path, record)
    expect(await readRecord(path)).toEqual(record)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(dir)).toEqual(['session.json'])
  })
  it('is an error wherever it is cut', async () => {
    const path = join(dir, 'cut.json')
    const whole = JSON.stringify(record)
    for (let length = 0; length < whole.length; length += 13) {
      await writeFile(path, whole.slice(0, length))
      await expect(readRecord(path)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
  })
  it('is NOT_FOUND when there is none', async () => {
    await expect(readRecord(join(dir, 'none.json'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('the store', () => {
  it('has the last of many changes on disk, and tells of each', async () => {
    const path = join(dir, 'many.json')
    const store = new SessionStore(
      () => path,
      () => new Date(0),
    )
    const heads: (string | undefined)[] = []
    store.onChange((event) => heads.push(event.type === 'session_updated' ? event.session.headCommit : undefined))
    await store.put(record)
    await Promise.all([1, 2, 3, 4].map((n) => store.change('demo_one', { session: { headCommit: `${n}` } })))
    expect((await readRecord(path)).session.headCommit).toBe('4')
    expect(heads).toEqual([undefined, '1', '2', '3', '4'])
  })
  it('does not write a session again that has been removed', async () => {
    const path = join(dir, 'removed.json')
    const store = new SessionStore(
      () => path,
      () => new Date(0),
    )
    await store.put(record)
    const late = store.change('demo_one', { session: { headCommit: 'late' } })
    await store.remove('demo_one')
    await late
    expect(await readFile(path, 'utf8')).not.toContain('late')
    await store.change('demo_one', { session: { headCommit: 'later' } })
    expect(store.get('demo_one')).toBeUndefined()
    expect(() => store.require('demo_one')).toThrow(/aio sessions list/)
  })
})
