import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPage, screenshot, startBrowser } from './harness/browser.ts'
import { exec, type Platform, startPlatform, until } from './harness/platform.ts'
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

const insideOf = async (session: string, ...argv: string[]) =>
  (await platform.aio(['sessions', 'exec', session, '--', ...argv])).stdout
const screenText = async () =>
  await exec('tmux', ['-S', join(platform.aioRun, 'tmux.sock'), 'capture-pane', '-p', '-t', '=claude-shop_typed:'])

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

  it('answers a prompt typed in the browser and runs a tool that edits a file', async () => {
    await platform.json('sessions', 'create', 'shop', 'typed', '--agent', 'claude')
    await using browser = await startBrowser()
    const { page, problems } = await openPage(browser)
    const link = /http:\/\/\S+#code=\S+/.exec(platform.output())?.[0] ?? ''
    await page.goto(link)
    await page.waitForURL((url) => !url.pathname.startsWith('/login'))
    await page.goto(`${new URL(link).origin}/sessions/shop_typed`)
    const terminal = page.locator('.xterm')
    await terminal.waitFor()
    await until(
      async () => (await screenText()).includes('bypass permissions'),
      60_000,
      () => 'Claude Code did not get to its prompt',
    )
    await terminal.click()
    await page.keyboard.type('please RUNTOOL echo by-browser > typed.txt')
    await sleep(500) // Claude Code takes an Enter that comes with the text for part of a paste
    await page.keyboard.press('Enter')
    await until(
      async () => (await insideOf('shop_typed', 'cat', 'typed.txt')).includes('by-browser'),
      60_000,
      () => JSON.stringify(stub.calls.at(-1)),
    )
    await until(async () => (await screenText()).includes('Tool result seen.'), 30_000)
    await screenshot(page, 'claude-in-browser')
    expect(problems).toEqual([])
  })

  it('answers a prompt typed through `aio sessions attach`, which leaves on Ctrl-] and keeps the session', async () => {
    const tmux = async (...args: string[]) =>
      await exec('tmux', ['-S', join(platform.home, 'user.sock'), ...args], platform.env)
    const cli = join(import.meta.dirname, '../apps/cli/bin/aio.js')
    await tmux('-f', '/dev/null', 'new-session', '-d', '-x', '120', '-y', '40', '-s', 'user', 'sh')
    const screen = async () => await tmux('capture-pane', '-p', '-t', 'user')
    try {
      await tmux('send-keys', '-t', 'user', `${process.execPath} ${cli} sessions attach typed`, 'Enter')
      await until(
        async () => (await screen()).includes('Tool result seen.'),
        30_000,
        () => 'attach did not show the screen',
      )
      await tmux('send-keys', '-t', 'user', '-l', 'RUNTOOL echo by-attach > attached.txt')
      await sleep(500)
      await tmux('send-keys', '-t', 'user', 'Enter')
      await until(async () => (await insideOf('shop_typed', 'cat', 'attached.txt')).includes('by-attach'), 60_000)
      await tmux('send-keys', '-t', 'user', 'C-]')
      await sleep(300)
      await tmux('send-keys', '-t', 'user', '-l', 'echo back-$((40+2))')
      await tmux('send-keys', '-t', 'user', 'Enter')
      await until(
        async () => (await screen()).includes('back-42'),
        20_000,
        () => 'attach did not give the terminal back',
      )
    } finally {
      await tmux('kill-server').catch(() => '')
    }
    expect(await platform.json('sessions', 'list', 'shop')).toContainEqual(
      expect.objectContaining({ id: 'shop_typed', state: 'running' }),
    )
  })
})
