import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'

/** Sizes that the app is looked at in. */
export const SIZES = { laptop: { width: 1440, height: 900 }, phone: { width: 390, height: 844 } } as const

const artifacts = join(import.meta.dirname, '../artifacts')

/** Starts Debian's Chromium; as root it has no sandbox of its own, and it must not look for anything outside. */
export async function startBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** A page with everything it complains about. */
export interface WatchedPage {
  page: Page
  context: BrowserContext
  /** Errors of the console, uncaught exceptions, and what the content security policy blocked. */
  problems: string[]
}

/** Opens a page with an empty profile. */
export async function openPage(browser: Browser, size: keyof typeof SIZES = 'laptop'): Promise<WatchedPage> {
  const context = await browser.newContext({
    colorScheme: 'dark',
    viewport: SIZES[size],
    ...(size === 'phone' ? { hasTouch: true, isMobile: true } : {}),
  })
  const page = await context.newPage()
  const problems: string[] = []
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text())
  })
  page.on('pageerror', (error) => problems.push(error.message))
  return { page, context, problems }
}

/** Keeps a picture for people to look at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  await mkdir(artifacts, { recursive: true })
  await page.screenshot({ path: join(artifacts, `${name}.png`) })
}
