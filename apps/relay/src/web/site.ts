import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import sirv from 'sirv'
import { scriptHashes, securityHeaders } from './security-headers.ts'

/** Paths whose last part is known only at run time, and the exported page that shows them. */
const DYNAMIC = [
  { path: /^\/sessions\/[^/]+\/?$/, page: '/sessions/[id].html' },
  { path: /^\/projects\/[^/]+\/?$/, page: '/projects/[id].html' },
] as const

const NOT_BUILT = `<!doctype html><html lang="en"><meta charset="utf-8"><title>AI Orchestration</title>
<body><h1>The web app is not built yet</h1><p>The relay is running. Build the web app with <code>pnpm build</code> in the
repository and start the relay again, or use the command line: <code>npx aio --help</code>.</p></body></html>
`
const NOT_FOUND =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not found</title><body><h1>There is no such page</h1></body></html>\n'

/** The exported web app. */
export class Site {
  readonly #files: ReturnType<typeof sirv> | undefined
  readonly #hashes: readonly string[]
  readonly #notFound: string

  private constructor(files: ReturnType<typeof sirv> | undefined, hashes: readonly string[], notFound: string) {
    this.#files = files
    this.#hashes = hashes
    this.#notFound = notFound
  }

  /** Reads the export once; without one, every page says how to build it. */
  static async open(directory: string): Promise<Site> {
    if (!existsSync(join(directory, 'index.html'))) return new Site(undefined, [], NOT_BUILT)
    const names = await readdir(directory, { recursive: true })
    const pages = await Promise.all(
      names.filter((name) => name.endsWith('.html')).map((name) => readFile(join(directory, name), 'utf8')),
    )
    const hashes = [...new Set(pages.flatMap(scriptHashes))].sort()
    const files = sirv(directory, {
      etag: true,
      brotli: true,
      gzip: true,
      setHeaders: (response, pathname) => {
        response.setHeader('Cache-Control', cacheControl(pathname))
      },
    })
    const own404 = join(directory, '404.html')
    return new Site(files, hashes, existsSync(own404) ? await readFile(own404, 'utf8') : NOT_FOUND)
  }

  /** Answers a request whose target and host were checked. */
  serve(request: IncomingMessage, response: ServerResponse): void {
    for (const [name, value] of Object.entries(securityHeaders(this.#hashes, request.headers.host ?? 'localhost')))
      response.setHeader(name, value)
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      this.#page(request, response, 405, NOT_FOUND)
      return
    }
    const files = this.#files
    if (files === undefined) {
      this.#page(request, response, 503, NOT_BUILT)
      return
    }
    files(request, response, () => this.#dynamic(files, request, response))
  }

  #dynamic(files: ReturnType<typeof sirv>, request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/'
    const route = DYNAMIC.find((candidate) => candidate.path.test(path))
    if (route === undefined) {
      this.#page(request, response, 404, this.#notFound)
      return
    }
    request.url = route.page
    files(request, response, () => this.#page(request, response, 404, this.#notFound))
  }

  #page(request: IncomingMessage, response: ServerResponse, status: number, html: string): void {
    response.writeHead(status, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-cache' })
    response.end(request.method === 'HEAD' ? undefined : html)
  }
}

// Names under /_next/static hold a hash of the content; everything else is asked for again each time.
function cacheControl(pathname: string): string {
  return pathname.startsWith('/_next/static/') ? 'public, max-age=31536000, immutable' : 'no-cache'
}
