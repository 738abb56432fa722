import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { findSessionId } from '../session-id.ts'

/** `aio egress <session>`: what went through its door, and what was turned away. */
export async function showEgress(cli: Cli, session: string, options: { limit?: number }): Promise<void> {
  await using aio = await cli.connect()
  const { limit } = options
  const sessionId = await findSessionId(aio, session)
  const all = await cli.within(aio.sessions.egress.query({ sessionId, ...(limit === undefined ? {} : { limit }) }))
  cli.out.result(all, (records) =>
    records.length === 0
      ? 'It has not tried to reach any host.'
      : table(
          ['at', 'method', 'host', 'verdict', 'up', 'down', 'ms', 'why'],
          records.map((one) => [
            one.at,
            one.method,
            `${one.host}:${one.port}`,
            one.verdict,
            String(one.bytesUp),
            String(one.bytesDown),
            String(one.ms),
            one.reason ?? (one.status === undefined ? '' : String(one.status)),
          ]),
        ),
  )
}
