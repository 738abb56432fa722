import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'

/** `aio audit`: who changed what, newest first. */
export async function showAudit(cli: Cli, options: { limit?: number; before?: number }): Promise<void> {
  const records = await cli.withClient((aio) => aio.audit.list.query(options))
  cli.out.result(records, (all) =>
    table(
      ['id', 'when', 'by', 'token', 'call', 'outcome', 'request', 'from'],
      all.map((record) => [
        String(record.id),
        `${ago(record.at)} ago`,
        record.by,
        record.tokenId,
        record.call,
        record.outcome ?? 'no end known',
        record.requestId ?? '',
        record.address,
      ]),
    ),
  )
}
