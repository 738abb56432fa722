import { existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '@ai-orchestration/sdk'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPage, screenshot, startBrowser, type WatchedPage } from './harness/browser.ts'
import { makeRepository, type Platform, startPlatform, until } from './harness/platform.ts'

const out = join(import.meta.dirname, '../apps/web/out')

/** The promise of design/ui.md: compressed script before the terminal is loaded, in bytes. */
const FIRST_LOAD_MAX_BYTES = 200_000

let platform: Platform
let browser: Browser
let client: Client
let laptop: WatchedPage
let phone: WatchedPage

beforeAll(async () => {
  if (!existsSync(join(out, 'index.html'))) throw new Error('The web app is not built. Run `pnpm build` first.')
  platform = await startPlatform()
  client = platform.client()
  browser = await startBrowser()
  laptop = await openPage(browser)
  phone = await openPage(browser, 'phone')
})
afterAll(async () => {
  await browser?.close()
  await client?.close()
  await platform?.[Symbol.asyncDispose]()
})

const logInByLink = async (page: Page) => {
  const { code } = await client.auth.createCode.mutate()
  await page.goto(`${platform.httpUrl}/login#code=${code}`)
  await page.waitForURL(`${platform.httpUrl}/`)
  return code
}

const fits = (page: Page) =>
  page.evaluate<boolean>('document.documentElement.scrollWidth <= document.documentElement.clientWidth')

describe('the web app', () => {
  it('leads to the login without a token, and complains of nothing', async () => {
    const { page, problems, context } = await openPage(browser)
    for (const path of ['/', '/sessions/shop_first', '/projects/shop', '/orchestrators', '/settings']) {
      await page.goto(platform.httpUrl + path)
      await page.waitForURL(`${platform.httpUrl}/login`)
    }
    await page.getByText('Relay reachable').waitFor()
    await screenshot(page, 'web-login')
    expect(problems).toEqual([])
    await context.close()
  })

  it('logs in by the one-time link, whose code leaves the address at once and works once', async () => {
    const code = await logInByLink(laptop.page)
    expect(laptop.page.url()).not.toContain(code)
    await logInByLink(phone.page)
    const again = await openPage(browser)
    await again.page.goto(`${platform.httpUrl}/login#code=${code}`)
    await again.page.getByText('This login code is not valid').waitFor()
    expect(again.page.url()).toBe(`${platform.httpUrl}/login`)
    await again.context.close()
  })

  it('logs in by a pasted token, and keeps only a token of its own', async () => {
    const pasted = await openPage(browser)
    await pasted.page.goto(`${platform.httpUrl}/login`)
    await pasted.page.getByLabel('Access token').fill(platform.token)
    await pasted.page.getByRole('button', { name: 'Log in' }).click()
    await pasted.page.waitForURL(`${platform.httpUrl}/`)
    const kept = await pasted.page.evaluate<string>("Object.values(localStorage).join('\\n')")
    expect(kept).not.toContain(platform.token)
    await pasted.context.close()
  })

  it('makes the first project, seen by another browser without a reload', async () => {
    const source = await makeRepository(platform.home, 40)
    await laptop.page.getByText('Create your first project').waitFor()
    await screenshot(laptop.page, 'web-first-run')
    expect(await fits(phone.page)).toBe(true)
    await screenshot(phone.page, 'web-first-run-phone')
    await laptop.page.getByLabel('Repository URL').fill('ext::sh -c touch% /tmp/x')
    await laptop.page.getByRole('button', { name: 'Create project' }).click()
    await laptop.page.getByText('is not allowed').or(laptop.page.getByText('holds a space')).first().waitFor()
    await laptop.page.getByLabel('Repository URL').fill(source)
    await laptop.page.getByRole('button', { name: 'Create project' }).click()
    await laptop.page.waitForURL(/\/projects\/repo-/)
    await phone.page
      .getByText(/^repo-/)
      .filter({ visible: true })
      .first()
      .waitFor()
  })

  it('creates a session with Enter, shows its steps at once and then its terminal', async () => {
    const { page } = laptop
    await page.keyboard.press('n')
    const name = page.getByLabel('Name', { exact: true })
    await name.fill('Not A Name')
    await page.getByText('lowercase letters, digits and dashes').waitFor()
    expect(await page.getByRole('button', { name: 'Create session' }).isDisabled()).toBe(true)
    await name.fill('first')
    await screenshot(page, 'web-new-session')
    await name.press('Enter')
    await page.waitForURL(/\/sessions\/repo-[a-z0-9]+_first$/)
    await page
      .getByText('Starting', { exact: true })
      .or(page.getByText('Running', { exact: true }))
      .first()
      .waitFor()
    await page.locator('.xterm').waitFor()
    await page.getByText(/sized by/).waitFor()
    await phone.page.getByText('first', { exact: true }).filter({ visible: true }).first().waitFor()
  })

  it('types into the terminal, and a second viewer sees it', async () => {
    const { page } = laptop
    const sessionId = new URL(page.url()).pathname.split('/').at(-1) ?? ''
    await phone.page.goto(page.url())
    await phone.page.getByText(/sized by/).waitFor()
    await page.locator('.xterm').click()
    await page.keyboard.type('echo typed-in-the-browser | tee typed.txt\n')
    await until(async () => {
      const result = await platform.aio(['sessions', 'exec', sessionId, '--', 'cat', 'typed.txt'])
      return result.stdout === 'typed-in-the-browser\n'
    })
    await phone.page.getByText(/sized by another viewer/).waitFor()
    await screenshot(page, 'web-session')
    await screenshot(phone.page, 'web-session-phone')
    expect(await fits(phone.page)).toBe(true)
  })

  it('has something to look at on every page, at both sizes, without a complaint', async () => {
    for (const path of ['/', '/orchestrators', '/settings'])
      for (const [size, { page }] of Object.entries({ laptop, phone })) {
        await page.goto(platform.httpUrl + path)
        await page.getByRole('heading', { level: 1 }).waitFor()
        await page.waitForLoadState('networkidle')
        expect(await fits(page), `${path} on a ${size}`).toBe(true)
        await screenshot(page, `web${path.replaceAll('/', '-')}-${size}`)
      }
    expect([...laptop.problems, ...phone.problems]).toEqual([])
  })

  it('names the work that a termination would lose, with the focus on the safe answer', async () => {
    const { page } = laptop
    await page.goto(platform.httpUrl)
    await page.locator('[data-row]').first().click()
    await page.getByRole('button', { name: 'Terminate this session' }).click()
    await page.getByRole('button', { name: 'Terminate', exact: true }).click()
    await page.getByText('typed.txt').waitFor()
    expect(await page.evaluate<string>('document.activeElement.textContent')).toBe('Keep session')
    await screenshot(page, 'web-work-at-risk')
    await page.getByRole('button', { name: 'Archive and terminate' }).click()
    await page.waitForURL(`${platform.httpUrl}/`)
    await page.getByText('No sessions yet').waitFor()
  })

  it('says that the relay is gone, and comes back by itself', async () => {
    const { page } = laptop
    process.kill(await platform.pidOf('relay'), 'SIGKILL')
    await page.getByText(/Reconnecting since/).waitFor()
    await screenshot(page, 'web-offline')
    await page.getByText('Connected again.').waitFor({ timeout: 40_000 })
    await page
      .getByText(/^repo-/)
      .filter({ visible: true })
      .first()
      .waitFor({ timeout: 40_000 })
  })

  it('forgets the token when it is revoked elsewhere', async () => {
    const before = await client.tokens.list.query()
    const devices = before.filter((token) => token.revokedAt === undefined && / on /.test(token.name))
    for (const token of devices) await client.tokens.revoke.mutate({ tokenId: token.id })
    await phone.page.getByText('This device was logged out.').waitFor()
    expect(await phone.page.evaluate<number>('localStorage.length')).toBe(0)
  })

  it('loads no more than it promised before the terminal', async () => {
    for (const name of ['index.html', 'login.html', 'sessions/[id].html']) {
      const html = await readFile(join(out, name), 'utf8')
      const scripts = new Set(
        [...html.matchAll(/<script[^>]*\ssrc="([^"]+\.js)"(?![^>]*noModule)/gi)].map((match) => match[1]),
      )
      let bytes = 0
      for (const script of scripts) {
        const path = join(out, script ?? '')
        bytes += (await stat(existsSync(`${path}.br`) ? `${path}.br` : path)).size
      }
      expect(bytes, name).toBeGreaterThan(50_000)
      expect(bytes, name).toBeLessThanOrEqual(FIRST_LOAD_MAX_BYTES)
    }
  })
})
