import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPage, screenshot, startBrowser } from './harness/browser.ts'
import { exec, makeRepository, type Platform, startPlatform, until } from './harness/platform.ts'
import { type ModelApiStub, startModelApiStub } from './model-api-stub.ts'

const KEY = 'sk-ant-real-key-that-must-stay-outside-0123456789'

let stub: ModelApiStub
let platform: Platform
let browser: Browser

beforeAll(async () => {
  stub = await startModelApiStub({ key: KEY })
  platform = await startPlatform({ ANTHROPIC_API_KEY: KEY, ANTHROPIC_BASE_URL: stub.url })
  browser = await startBrowser()
  await platform.json('projects', 'create', 'shop', '--repo', await makeRepository(platform.home))
  // The real Claude Code, some hundred megabytes from npm.
  const installed = await platform.aio(['agents', 'install', 'claude', '--json'], { timeoutMs: 280_000 })
  expect(installed, installed.stdout).toMatchObject({ code: 0 })
  expect(JSON.parse(installed.stdout)).toMatchObject({ id: 'claude', installed: true, ready: true })
}, 300_000)
afterAll(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
  await stub?.[Symbol.asyncDispose]()
})

const inside = async (session: string, ...argv: string[]) =>
  (await platform.aio(['sessions', 'exec', session, '--', ...argv])).stdout
const screenText = async () =>
  await exec('tmux', ['-S', join(platform.aioRun, 'tmux.sock'), 'capture-pane', '-p', '-t', '=claude-shop_typed:'])

describe('real Claude Code', () => {
  it('answers a prompt typed in the browser and runs a tool that edits a file', async () => {
    await platform.json('sessions', 'create', 'shop', 'typed', '--agent', 'claude')
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
      async () => (await inside('shop_typed', 'cat', 'typed.txt')).includes('by-browser'),
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
      await until(async () => (await inside('shop_typed', 'cat', 'attached.txt')).includes('by-attach'), 60_000)
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
    expect(await platform.json('sessions', 'list', 'shop')).toMatchObject([{ id: 'shop_typed', state: 'running' }])
  })
})
