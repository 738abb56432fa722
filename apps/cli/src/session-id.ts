import { AioError, parseSessionId } from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'

/**
 * Understands a session the way people name it: its id, or just its name when only one session has it.
 *
 * @throws AioError NOT_FOUND, or CONFLICT that lists the sessions of that name.
 */
export async function findSessionId(aio: Client, text: string): Promise<string> {
  if (parseSessionId(text) !== undefined) return text
  const sessions = await aio.sessions.list.query({})
  const ids = sessions.filter((session) => session.name === text).map((session) => session.id)
  const [only] = ids
  if (only === undefined)
    throw new AioError('NOT_FOUND', `There is no session ${JSON.stringify(text)}. See: aio sessions list`)
  if (ids.length > 1)
    throw new AioError('CONFLICT', `${ids.length} sessions are named ${text}: ${ids.join(', ')}. Give the whole id.`)
  return only
}
