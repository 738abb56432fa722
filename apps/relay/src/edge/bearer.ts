import type { IncomingMessage } from 'node:http'

/** The token of an `Authorization: Bearer` header, if there is one. */
export function bearerToken(request: IncomingMessage): string | undefined {
  return /^Bearer +([\x21-\x7e]{1,1024})$/i.exec(request.headers.authorization ?? '')?.[1]
}
