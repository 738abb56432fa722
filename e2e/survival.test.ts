import { setTimeout as sleep } from 'node:timers/promises'
import { AioError } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, makeRepository, type Platform, startPlatform, until } from './harness/platform.ts'

let platform: Platform

beforeAll(async () => {
  platform = await startPlatform()
  await platform.json('projects', 'create', 'keep', '--repo', await makeRepository(platform.home))
  await platform.json('sessions', 'create', 'keep', 'alive', '--agent', 'shell')
})
afterAll(async () => await platform[Symbol.asyncDispose]())

async function containerPid(): Promise<number> {
  const state = await exec('runc', ['--root', `${platform.aioRun}/runc`, 'state', 'claude-keep_alive'])
  return (JSON.parse(state) as { pid: number }).pid
}

describe('kill -9 (promises V)', () => {
  it.each(['orchestrator', 'relay'] as const)(
    'of the %s leaves the process inside alone and the terminal goes on',
    async (service) => {
      await using client = platform.client()
      const before = await containerPid()
      const terminal = await client.terminal('keep_alive')
      let seen = ''
      const reading = (async () => {
        for await (const item of terminal) if (item.type === 'data' || item.type === 'replay') seen += item.data
      })()
      await until(() => seen !== '')
      const victim = await platform.pidOf(service)
      process.kill(victim, 'SIGKILL')
      await until(
        async () => (await platform.pidOf(service).catch(() => victim)) !== victim,
        30_000,
        () => platform.output(),
      )
      await until(
        async () => (await platform.health())?.orchestrators === 1,
        30_000,
        () => platform.output(),
      )
      expect(await containerPid()).toBe(before)
      const session = await client.sessions.get.query({ sessionId: 'keep_alive' })
      expect(session).toMatchObject({ state: 'running' })
      const word = `back-${service}`
      await until(
        async () => {
          // A key pressed while the machine is still coming back is refused, not lost in silence.
          await client.terminal.write
            .mutate({ sessionId: 'keep_alive', data: `echo ${word.replace('-', "-''")}\r` })
            .catch((error: unknown) => {
              if (!(error instanceof AioError)) throw error
            })
          await sleep(300)
          return seen.includes(word)
        },
        30_000,
        () => `the terminal did not go on: ${JSON.stringify(seen.slice(-500))}`,
      )
      await terminal.close()
      await reading
    },
  )
})
