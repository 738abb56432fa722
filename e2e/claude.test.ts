import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Platform, startPlatform, until } from './harness/platform.ts'
import { type ModelApiStub, startModelApiStub } from './model-api-stub.ts'

let stub: ModelApiStub
let platform: Platform

// The real Claude Code from npm, against a stand-in for the model.
beforeAll(async () => {
  stub = await startModelApiStub({ key: 'the-real-key' })
  platform = await startPlatform({ ANTHROPIC_API_KEY: 'the-real-key', ANTHROPIC_BASE_URL: stub.url })
})
afterAll(async () => {
  await platform?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
})

describe('Claude Code in a session', () => {
  it('is refused with the line that installs it, and installed by that', { timeout: 300_000 }, async () => {
    await platform.json('projects', 'create', 'shop')
    const refused = await platform.aio(['sessions', 'create', 'shop', 'early', '--agent', 'claude'])
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('aio agents install claude') })
    const installed = await platform.aio(['agents', 'install', 'claude'], { timeoutMs: 280_000 })
    expect(installed, installed.stderr + platform.output()).toMatchObject({ code: 0 })
  })

  it('starts without a question, works on its prompt and takes more, without ever holding the key', async () => {
    const session = await platform.json('sessions', 'create', 'shop', 'first', '--prompt', 'RUNTOOL id -u > by-agent')
    expect(session).toMatchObject({ agent: 'claude', state: 'running' })
    const inside = async (script: string) =>
      (await platform.aio(['sessions', 'exec', 'shop_first', '--', 'sh', '-c', script])).stdout
    await until(async () => (await inside('cat by-agent')) === '1000\n', 60_000)

    const client = platform.client()
    try {
      const terminal = await client.terminal('shop_first', { size: { cols: 100, rows: 30 } })
      let text = ''
      const reading = (async () => {
        for await (const piece of terminal.text()) text += piece
      })()
      await until(
        () => text.includes('seen.'),
        30_000,
        () => text.slice(-2_000),
      )
      const before = stub.calls.length
      await terminal.write('zebra')
      // It may draw spaces as movements of the cursor, so a single word is looked for.
      await until(() => text.includes('zebra'), 10_000)
      await terminal.write('\r')
      await until(() => stub.calls.length > before, 30_000)
      await terminal.close()
      await reading
    } finally {
      await client.close()
    }
    expect(stub.calls.every(({ status, headers }) => status === 200 && headers['x-api-key'] === 'the-real-key')).toBe(
      true,
    )
    const everything =
      'cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat ~/.claude.json ~/.claude/settings.json; env'
    expect(await inside(everything)).not.toContain('the-real-key')
  })
})
