import { AioError, type Permissions, type Session, type SessionStats } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { type LimitFlags, limitsOf } from '../limit-flags.ts'
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
  options: {
    agent?: string
    prompt?: string
    title?: string
    base?: string
    resumeBranch?: boolean
    chat?: boolean
    permissions?: Permissions
  } & LimitFlags,
): Promise<void> {
  const { agent, prompt, title, base, resumeBranch, chat, permissions } = options
  const limits = limitsOf(options)
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
      ...(limits === undefined ? {} : { limits }),
      ...(chat === true ? { interface: 'chat' as const } : {}),
      ...(permissions === undefined ? {} : { permissions }),
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

/** `aio sessions pause <session>` */
export async function pauseSession(cli: Cli, session: string): Promise<void> {
  await changeSession(
    cli,
    session,
    (aio, input) => aio.sessions.pause.mutate(input),
    ({ id }) => `Session ${id} is paused. It goes on with: aio sessions resume ${id}`,
  )
}

/** `aio sessions resume <session>` */
export async function resumeSession(cli: Cli, session: string): Promise<void> {
  await changeSession(
    cli,
    session,
    (aio, input) => aio.sessions.resume.mutate(input),
    ({ id }) => `Session ${id} goes on.`,
  )
}

/** `aio sessions restart <session> [--prompt P]` */
export async function restartSession(
  cli: Cli,
  session: string,
  options: { prompt?: string; chat?: boolean; terminal?: boolean; permissions?: Permissions },
): Promise<void> {
  const { prompt, chat, terminal, permissions } = options
  if (chat === true && terminal === true)
    throw new AioError('INVALID_INPUT', 'Give either --chat or --terminal, not both.')
  const face = chat === true ? ('chat' as const) : terminal === true ? ('terminal' as const) : undefined
  await changeSession(
    cli,
    session,
    (aio, input) =>
      aio.sessions.restart.mutate({
        ...input,
        ...(prompt === undefined ? {} : { prompt }),
        ...(face === undefined ? {} : { interface: face }),
        ...(permissions === undefined ? {} : { permissions }),
      }),
    createdText,
  )
}

/** `aio sessions limits <session> [--memory …]` shows a session's limits, or changes them while it runs. */
export async function sessionLimits(cli: Cli, session: string, options: LimitFlags): Promise<void> {
  const limits = limitsOf(options)
  if (limits !== undefined)
    return await changeSession(
      cli,
      session,
      (aio, input) => aio.sessions.setLimits.mutate({ ...input, limits }),
      limitsText,
    )
  const found = await cli.withClient(async (aio) =>
    aio.sessions.get.query({ sessionId: await findSessionId(aio, session) }),
  )
  cli.out.result(found, limitsText)
}

/** `aio sessions stats <session>` prints what a session uses until it is interrupted or the session is gone. */
export async function showStats(cli: Cli, session: string): Promise<void> {
  await using aio = await cli.connect()
  const sessionId = await findSessionId(aio, session)
  for await (const stats of aio.stats(sessionId)) cli.out.result(stats, statsText)
}

type Client = Awaited<ReturnType<Cli['connect']>>

async function changeSession(
  cli: Cli,
  session: string,
  change: (aio: Client, input: { sessionId: string; commandId: string }) => Promise<Session>,
  text: (session: Session) => string,
): Promise<void> {
  await using aio = await cli.connect()
  const changed = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    return await change(aio, { sessionId: await findSessionId(aio, session), commandId })
  })
  cli.out.result(changed, text)
}

function limitsText({ id, limits, reached }: Session): string {
  if (limits === undefined) return `Session ${id} has the limits of an older version; they show after a restart.`
  const { memoryMb, cpus, pids, diskMb } = limits
  const rows = [
    ['memory', `${memoryMb} MiB`],
    ['cpu', `${cpus} cores`],
    ['pids', String(pids)],
    ['disk', `${diskMb} MiB`],
  ].map(([name = '', value = '']) => {
    const hit = reached?.find(({ limit }) => limit === name)
    return [name, value, hit === undefined ? '' : `${hit.count}, last ${ago(hit.at)}`]
  })
  return table(['limit', 'at most', 'reached'], rows)
}

function statsText({ cpuPercent, memoryBytes, pids, diskBytes }: SessionStats): string {
  const mib = (bytes: number) => `${(bytes / 1024 ** 2).toFixed(0)} MiB`
  const disk = diskBytes === undefined ? '' : `, disk ${mib(diskBytes)}`
  return `cpu ${cpuPercent.toFixed(0)} %, memory ${mib(memoryBytes)}, ${pids} processes${disk}`
}

/** Says what became of a session that was just made. */
export function createdText(session: Session): string {
  const lines = [`Session ${session.id} ${stateText(session)} with ${session.agent} on ${session.branch}.`]
  if (session.isolation === 'degraded' && session.lacks !== undefined)
    lines.push(`Its isolation is degraded: ${inert(session.lacks.join('; '))}.`)
  if (session.notice !== undefined) lines.push(inert(session.notice))
  for (const line of session.exit?.lastLines ?? []) lines.push(`  ${inert(line)}`)
  if (session.state === 'running')
    lines.push(
      session.interface === 'chat'
        ? `Ask it with: aio prompt ${session.id} …`
        : `Attach with: aio sessions attach ${session.id}`,
    )
  return lines.join('\n')
}

function stateText(session: Session): string {
  const isLess = session.isolation === 'degraded' && session.lacks !== undefined
  return `${processText(session)}${isLess ? ', degraded isolation' : ''}`
}

function processText({ state, exit, pause }: Session): string {
  if (pause !== undefined) return pause.reason === 'asked' ? state : `${state} (${pause.reason})`
  if (exit === undefined) return state
  return exit.code === undefined ? `${state} (${exit.reason})` : `${state} (status ${exit.code})`
}
