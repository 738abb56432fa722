import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/** Headers that are about one connection (RFC 9110), about a way through proxies, or made anew for the next connection. */
const DROPPED: ReadonlySet<string> = new Set(
  'connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade expect host forwarded x-forwarded-for'.split(
    ' ',
  ),
)

/** What of a message's headers goes on to the next connection; those that `Connection` names do not. */
export function passedHeaders(headers: IncomingHttpHeaders, alsoDropped?: ReadonlySet<string>): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !DROPPED.has(name) && !named.has(name) && alsoDropped?.has(name) !== true,
    ),
  )
}
