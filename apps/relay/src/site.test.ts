import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestRelay } from './test-support/test-relay.ts'
import { scriptHashes } from './web/security-headers.ts'

const INLINE = 'self.chunks=["a"]'
const page = (name: string) =>
  `<!doctype html><title>${name}</title><script>${INLINE}</script><script id="d" type="application/json">{}</script><script src="/a.js"></script>`

let web: string
let relay: TestRelay
beforeAll(async () => {
  web = await mkdtemp(join(tmpdir(), 'aio-site-'))
  await mkdir(join(web, 'sessions'))
  await mkdir(join(web, '_next/static'), { recursive: true })
  await writeFile(join(web, 'index.html'), page('home'))
  await writeFile(join(web, 'login.html'), page('login'))
  await writeFile(join(web, '404.html'), page('missing'))
  await writeFile(join(web, 'sessions/[id].html'), page('session'))
  await writeFile(join(web, '_next/static/a.js'), 'let a')
  await writeFile(join(web, '_next/static/a.js.gz'), gzipSync('let a'))
  relay = await TestRelay.start({ config: { webDir: web } })
})
afterAll(async () => {
  await relay[Symbol.asyncDispose]()
  await rm(web, { recursive: true })
})

const get = (path: string, init: RequestInit = {}) => fetch(`${relay.httpUrl}${path}`, init)

test.each([
  ['/', 200, 'home'],
  ['/login', 200, 'login'],
  ['/sessions/web_login', 200, 'session'],
  ['/sessions/web_login/', 200, 'session'],
  ['/sessions/web_login?tab=diff', 200, 'session'],
  ['/sessions/a/b', 404, 'missing'],
  ['/projects/web', 404, 'missing'],
  ['/nothing', 404, 'missing'],
  ['/..%2f..%2fetc/passwd', 404, 'missing'],
])('%s answers %i with the page %s', async (path, status, title) => {
  const response = await get(path)
  expect(response.status).toBe(status)
  expect(await response.text()).toContain(`<title>${title}</title>`)
  expect(response.headers.get('cache-control')).toBe('no-cache')
})

test('the content security policy allows exactly the inline scripts of the export', async () => {
  const policy = (await get('/')).headers.get('content-security-policy') ?? ''
  const scripts = policy.split('; ').find((part) => part.startsWith('script-src'))
  expect(scripts).toBe(`script-src 'self' ${scriptHashes(`<script>${INLINE}</script>`)[0]}`)
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).toContain("object-src 'none'")
  expect(policy).toContain("base-uri 'none'")
  expect(policy).toContain(`ws://127.0.0.1:${relay.port}`)
})

test('files named by their content are kept for ever and sent compressed', async () => {
  const response = await get('/_next/static/a.js', { headers: { 'accept-encoding': 'gzip' } })
  expect(response.headers.get('cache-control')).toContain('immutable')
  expect(response.headers.get('content-encoding')).toBe('gzip')
  expect(await response.text()).toBe('let a')
})

test('only GET and HEAD', async () => {
  expect((await get('/', { method: 'POST' })).status).toBe(405)
  const head = await get('/nothing', { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([404, ''])
})

test('without an export every page says how to build it', async () => {
  await using bare = await TestRelay.start()
  expect(await (await fetch(`${bare.httpUrl}/`)).text()).toContain('pnpm build')
})
