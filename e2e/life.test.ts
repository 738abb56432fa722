import type { Session } from '@ai-orchestration/protocol'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeRepository, type Platform, startPlatform } from './harness/platform.ts'

let platform: Platform

beforeAll(async () => {
  platform = await startPlatform()
  const source = await makeRepository(platform.home)
  await platform.json('projects', 'create', 'shop', '--repo', source)
})
afterAll(async () => await platform[Symbol.asyncDispose]())

describe('the life of a session, through the CLI', () => {
  it('is created with limits that are in force and can be changed', async () => {
    const session = await platform.json<Session>(
      ...['sessions', 'create', 'shop', 'one', '--agent', 'shell', '--memory', '512M', '--cpus', '1', '--disk', '1G'],
    )
    expect(session.limits).toEqual({ memoryMb: 512, cpus: 1, pids: 512, diskMb: 1_024 })
    const changed = await platform.json<Session>('sessions', 'limits', 'shop_one', '--memory', '1G', '--pids', '100')
    expect(changed.limits).toEqual({ memoryMb: 1_024, cpus: 1, pids: 100, diskMb: 1_024 })
    expect((await platform.aio(['sessions', 'limits', 'shop_one'])).stdout).toMatch(/memory\s+1024 MiB/)
    expect(await platform.aio(['sessions', 'limits', 'shop_one', '--memory', 'much'])).toMatchObject({ code: 2 })
    const small = await platform.aio(['sessions', 'limits', 'shop_one', '--memory', '1', '--json'])
    expect(JSON.parse(small.stdout)).toMatchObject({ error: { code: 'INVALID_INPUT' } })
  })
  it('is paused and resumed, and says so to whoever types', async () => {
    expect(await platform.json('sessions', 'pause', 'shop_one')).toMatchObject({ state: 'paused' })
    const list = await platform.aio(['sessions', 'list'])
    expect(list.stdout).toMatch(/shop_one\s+paused/)
    const refused = await platform.aio(['sessions', 'exec', 'shop_one', '--', 'true'])
    expect(refused).toMatchObject({ code: 125, stderr: expect.stringMatching(/paused.*resume shop_one/) })
    await using client = platform.client()
    await expect(client.terminal.write.mutate({ sessionId: 'shop_one', data: 'x' })).rejects.toThrow(/paused/)
    expect(await platform.json('sessions', 'resume', 'shop_one')).toMatchObject({ state: 'running' })
    expect(await platform.aio(['sessions', 'exec', 'shop_one', '--', 'true'])).toMatchObject({ code: 0 })
  })
  it('shows what it uses while somebody looks', async () => {
    await using client = platform.client()
    for await (const stats of client.stats('shop_one')) {
      expect(stats).toMatchObject({ sessionId: 'shop_one', pids: expect.any(Number) })
      expect(stats.memoryBytes).toBeGreaterThan(0)
      break
    }
    const missing = client.stats('shop_none')[Symbol.asyncIterator]()
    await expect(missing.next()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
  it('is started anew with its work', async () => {
    await platform.aio(['sessions', 'exec', 'shop_one', '--', 'sh', '-c', 'echo work > w'])
    expect(await platform.json('sessions', 'restart', 'shop_one')).toMatchObject({ state: 'running' })
    expect((await platform.aio(['sessions', 'exec', 'shop_one', '--', 'cat', 'w'])).stdout).toBe('work\n')
  })
})
