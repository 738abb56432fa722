import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { HOSTILE_NAMES, HOSTILE_URLS } from '@ai-orchestration/protocol/hostile'
import { AioError, type Client } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeRepository, type Platform, startPlatform } from './harness/platform.ts'

let platform: Platform
let client: Client

beforeAll(async () => {
  platform = await startPlatform()
  client = platform.client()
  await client.projects.create.mutate({ name: 'good', repoUrl: await makeRepository(platform.home) })
})
afterAll(async () => {
  await client.close()
  await platform[Symbol.asyncDispose]()
})

async function refusal(call: Promise<unknown>): Promise<AioError> {
  try {
    await call
  } catch (error) {
    if (error instanceof AioError) return error
    throw error
  }
  throw new Error('it was not refused')
}

describe('hostile names and URLs (B-10 to B-14)', () => {
  it('are refused as names of projects and sessions, each with a reason', async () => {
    for (const name of HOSTILE_NAMES) {
      for (const call of [
        client.projects.create.mutate({ name }),
        client.sessions.create.mutate({ projectId: 'good', name }),
        client.sessions.create.mutate({ projectId: name, name: 'x' }),
        // `a_b` is two names, which is what a session id is.
        ...(name === 'a_b' ? [] : [client.sessions.terminate.mutate({ sessionId: name, force: true })]),
      ]) {
        const error = await refusal(call)
        expect([JSON.stringify(name), error.code]).toEqual([JSON.stringify(name), 'INVALID_INPUT'])
        expect(error.message).not.toMatch(/\n\s+at /)
      }
    }
  })
  it('are refused as repositories', async () => {
    for (const repoUrl of HOSTILE_URLS) {
      const error = await refusal(client.projects.create.mutate({ name: 'x', repoUrl }))
      expect([repoUrl.slice(0, 80), error.code]).toEqual([repoUrl.slice(0, 80), 'INVALID_INPUT'])
    }
  })
  it('are stored inert as titles, prompts and arguments', async () => {
    const titles = HOSTILE_NAMES.filter((name) => name.trim() !== '' && !/\p{Cc}/u.test(name) && name.length <= 200)
    const title = titles.join(' ').slice(0, 200)
    const session = await client.sessions.create.mutate({ projectId: 'good', name: 'inert', title, agent: 'shell' })
    expect(session.title).toBe(title.trim())
    for (const argument of HOSTILE_NAMES.filter((name) => !name.includes('\0'))) {
      const run = client.exec('good_inert', ['printf', '%s', argument])
      let text = ''
      const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
      for await (const bytes of run.stdout) text += decoder.decode(bytes, { stream: true })
      expect([await run.exit, text]).toEqual([0, argument])
    }
  })
  it('never made the canary appear', async () => {
    const names = await readdir(platform.home, { recursive: true })
    expect(names.filter((name) => name.split('/').at(-1)?.startsWith('canary'))).toEqual([])
    expect(await readdir(join(import.meta.dirname, '..'))).not.toContain('canary')
    expect((await readdir(platform.projectsDir)).filter((name) => !name.startsWith('.'))).toEqual(['good'])
  })
})
