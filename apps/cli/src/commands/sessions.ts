import type { Session } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { inert, table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { showProgress } from '../progress.ts'
import { findSessionId } from '../session-id.ts'

/** `aio sessions list [project]` */
export async function listSessions(cli: Cli, projectId: string | undefined): Promise<void> {
  const all = await cli.withClient((aio) => aio.sessions.list.query(projectId === undefined ? {} : { projectId }))
  cli.out.result(all, (sessions) =>
    sessions.length === 0
      ? 'There is no session. Create one with: aio sessions create <project> <name>'
      : table(
          ['session', 'state', 'agent', 'branch', 'age', 'title'],
          sessions.map((session) => [
            session.id,
            stateText(session),
            session.agent,
            session.branch,
            ago(session.createdAt),
            session.title ?? '',
          ]),
        ),
  )
}

/** `aio sessions create <project> <name> …` */
export async function createSession(
  cli: Cli,
  projectId: string,
  name: string,
  options: { agent?: string; prompt?: string; title?: string; base?: string; resumeBranch?: boolean },
): Promise<void> {
  const { agent, prompt, title, base, resumeBranch } = options
  await using aio = await cli.connect()
  const session = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    return await aio.sessions.create.mutate({
      projectId,
      name,
      commandId,
      ...(agent === undefined ? {} : { agent }),
      ...(prompt === undefined ? {} : { prompt }),
      ...(title === undefined ? {} : { title }),
      ...(base === undefined ? {} : { base }),
      ...(resumeBranch === undefined ? {} : { resumeBranch }),
    })
  })
  cli.out.result(session, createdText)
}

/** `aio sessions terminate <session> [--force]` */
export async function terminateSession(cli: Cli, session: string, options: { force?: boolean }): Promise<void> {
  await using aio = await cli.connect()
  const output = await cli.command(async (commandId) => {
    const sessionId = await findSessionId(aio, session)
    return await aio.sessions.terminate.mutate({
      sessionId,
      commandId,
      ...(options.force === undefined ? {} : { force: options.force }),
    })
  })
  cli.out.result(output, (done) => {
    const kept = `Removed session ${done.sessionId}; its commits are on ${done.branch}.`
    return done.archive === undefined
      ? kept
      : `${kept} What was not committed is in archive ${done.archive.id}; bring it back with: aio sessions restore ${done.archive.id}`
  })
}

/** Says what became of a session that was just made. */
export function createdText(session: Session): string {
  const lines = [`Session ${session.id} ${stateText(session)} with ${session.agent} on ${session.branch}.`]
  if (session.notice !== undefined) lines.push(inert(session.notice))
  for (const line of session.exit?.lastLines ?? []) lines.push(`  ${inert(line)}`)
  if (session.state === 'running') lines.push(`Attach with: aio sessions attach ${session.id}`)
  return lines.join('\n')
}

function stateText({ state, exit }: Session): string {
  if (exit === undefined) return state
  return exit.code === undefined ? `${state} (${exit.reason})` : `${state} (status ${exit.code})`
}
