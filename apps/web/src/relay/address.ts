const BAKED_IN = process.env.NEXT_PUBLIC_RELAY_URL

/** The relay's WebSocket address: the one baked into the build, the local relay in `next dev`, else this page's origin. */
export function relayUrl(): string {
  if (BAKED_IN !== undefined && BAKED_IN !== '') return BAKED_IN
  if (process.env.NODE_ENV === 'development') return `ws://localhost:${process.env.DEV_RELAY_PORT}/ws`
  return `${window.location.protocol === 'https:' ? 'wss:' : 'ws:'}//${window.location.host}/ws`
}

/** A path of the relay over HTTP, such as `/health`; in `next dev` the page's own server passes it on. */
export function relayHttp(path: string): string {
  if (BAKED_IN === undefined || BAKED_IN === '') return path
  const url = new URL(BAKED_IN)
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:'
  url.pathname = path
  return url.href
}

/** The relay's host as people know it. */
export function relayHost(): string {
  return new URL(relayUrl()).host
}
