import { AioError, type Rule } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { findSessionId } from '../session-id.ts'

/** `aio rules list`: standing answers. */
export async function listRules(cli: Cli, options: { project?: string; session?: string }): Promise<void> {
  await using aio = await cli.connect()
  const filter = {
    ...(options.project === undefined ? {} : { projectId: options.project }),
    ...(options.session === undefined ? {} : { sessionId: await findSessionId(aio, options.session) }),
  }
  const all = await cli.within(aio.rules.list.query(filter))
  cli.out.result(all, (rules) =>
    rules.length === 0
      ? 'There is no rule. Answering a question with --always makes one.'
      : table(
          ['id', 'for', 'rule', 'about', 'by', 'age'],
          rules.map((rule) => [
            rule.id,
            rule.sessionId ?? rule.projectId,
            rule.verdict,
            aboutText(rule),
            rule.by.name,
            ago(rule.createdAt),
          ]),
        ),
  )
}

/** `aio rules revoke <id>` */
export async function revokeRule(cli: Cli, id: string): Promise<void> {
  await using aio = await cli.connect()
  const revoked = await cli.command(async (commandId) => {
    const rule = (await aio.rules.list.query({})).find((one) => one.id === id.toUpperCase())
    if (rule === undefined)
      throw new AioError('NOT_FOUND', `There is no rule ${JSON.stringify(id)}. See: aio rules list`)
    return await aio.rules.revoke.mutate({ projectId: rule.projectId, ruleId: rule.id, commandId })
  })
  cli.out.result(revoked, (rule) => `Revoked; ${aboutText(rule)} is asked about again.`)
}

function aboutText({ match }: Rule): string {
  switch (match.kind) {
    case 'egress':
      return `${match.host}:${match.port}`
    case 'tool':
      return `tool ${match.tool}`
    default:
      return match satisfies never
  }
}
