import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AioError, type OrchestratorEvent, SUPERSEDED_EXIT_CODE, toAioError, VERSION } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import { Agents } from './agent/agents.ts'
import { Chats } from './chat/chats.ts'
import { ToolQuestions } from './chat/tool-questions.ts'
import { CommandRunner } from './command/command-runner.ts'
import { CutOff } from './command/cut-off.ts'
import { CommandRegistry } from './command/registry.ts'
import { loadConfig, type OrchestratorConfig } from './config.ts'
import { readIdentity } from './disk/identity.ts'
import { lockDirectories } from './disk/lock-directories.ts'
import { budgetSessions } from './door/budget-sessions.ts'
import { Budgets } from './door/budgets.ts'
import { type DoorServices, Doors } from './door/doors.ts'
import { Prices } from './door/prices.ts'
import { UsageBook } from './door/usage-book.ts'
import { Execs } from './exec/execs.ts'
import { Exports } from './exec/exports.ts'
import { HostIdentity } from './host/host-identity.ts'
import { Journal } from './journal/journal.ts'
import { Link, SupersededError } from './link/link.ts'
import { Outbox } from './link/outbox.ts'
import { restate } from './link/restate.ts'
import { Streams } from './link/streams.ts'
import { createLogger, type Logger } from './log.ts'
import { describeMachine } from './machine.ts'
import { Projects } from './project/projects.ts'
import { ProjectSecrets } from './project/secrets.ts'
import { withdrawUseless } from './question/lifetime.ts'
import { Questions } from './question/questions.ts'
import { Rules } from './question/rules.ts'
import { Sessions } from './session/sessions.ts'
import { untilStopped } from './stop.ts'
import { Terminals } from './terminal/terminals.ts'
import { Tmux } from './terminal/tmux.ts'

/** How long the relay may take to take what was said last, in milliseconds; what it has not taken is kept. */
const FLUSH_MS = 500

/** Runs an orchestrator until it is told to stop. Sessions live on without it. */
async function main(config: OrchestratorConfig, log: Logger): Promise<void> {
  const stopped = untilStopped(config.isSupervised)
  const inBackground = (work: Promise<void>) => {
    work.catch((error: unknown) => log.error({ err: error }, 'something that nobody waits for failed'))
  }
  await mkdir(config.aioHome, { recursive: true, mode: 0o700 })
  await mkdir(config.aioRun, { recursive: true, mode: 0o711 })
  await using _locks = await lockDirectories([config.aioHome, config.aioRun, config.projectsDir])
  const id = await readIdentity(config.aioHome)
  const identity = await HostIdentity.open({ config, id, log })
  await using journal = await Journal.open({ path: join(config.aioHome, 'orchestrator', 'journal.db'), log })

  const archivesDir = join(config.aioHome, 'archives')
  const secrets = new ProjectSecrets({ aioHome: config.aioHome, variable: config.secretVariable })
  const projects = await Projects.open({
    projectsDir: config.projectsDir,
    archivesDir,
    orchestratorId: id,
    log,
    secrets,
  })
  const rules = await Rules.open({ projects, log })
  using questions = new Questions({ journal, rules, log, orchestratorId: id, kept: journal.content.questions })
  const tmux = await Tmux.open({ aioRun: config.aioRun, log })
  const agents = await Agents.open({ config, log })
  using usage = new UsageBook({
    prices: await Prices.open(config.aioHome),
    tell: (sessionId, used) => inBackground(sessions.recordUsage(sessionId, used)),
  })
  const admit = (sessionId: string, signal: AbortSignal) => budgets.admit(sessionId, signal)
  const onReport: DoorServices['onReport'] = (sessionId, report) => sessions.attentions.report(sessionId, report)
  await using doors = new Doors({
    config: { ...config, relayUrl: identity.relayUrl },
    ...{ log, projects, agents, questions, rules, usage, admit, onReport },
  })
  await using sessions = await Sessions.open({ config, log, orchestratorId: id, projects, tmux, agents, doors })
  const budgets = await Budgets.open({ questions, usage, sessions: budgetSessions(projects, sessions), log, projects })
  await sessions.adopt()
  const cutOff = await CutOff.find({ projects, sessions, log, projectsDir: config.projectsDir })
  const registry = await CommandRegistry.open(shipped('commands.toml'), join(config.aioHome, 'commands.toml'))

  const machine = await describeMachine()
  const describe = () => ({
    id,
    name: config.name,
    version: VERSION,
    machine,
    agents: agents.list(),
    isolation: config.isolation,
    warnings: sessions.warnings,
  })
  await using chats = new Chats({ sessions, desk: new ToolQuestions({ questions, rules }), log })
  const services = { config, projects, sessions, agents, questions, rules, chats }
  const outbox = new Outbox(journal)
  const online = () => ({ ...describe(), state: 'online' as const, lastSeenAt: new Date().toISOString() })
  const standing = {
    orchestrator: online(),
    projects: projects.list(),
    sessions: sessions.list(),
    questions: questions.list(),
  }
  for (const event of restate(journal.content.items, standing)) outbox.add(event)
  const publish = (event: OrchestratorEvent) => outbox.add(event)
  const runner = new CommandRunner({ registry, services, log, journal, publish })
  await using terminals = new Terminals({ tmux, sessions, log })
  await using execs = new Execs({ sessions, log })
  const exports = new Exports({ sessions })
  const streamed = { terminals, execs, exports, projects, stats: sessions, chats, attentions: sessions.attentions }
  await using client = createClient({
    url: identity.relayUrl,
    token: () => identity.token(),
    headers: { 'x-aio-role': 'orchestrator' },
    connectTimeoutMs: Number.POSITIVE_INFINITY,
  })
  using link = new Link({
    client,
    identity,
    outbox,
    log,
    describe: () => ({
      orchestrator: describe(),
      commands: registry.list(),
      projects: projects.list(),
      sessions: sessions.list(),
      questions: questions.list(),
      known: runner.known(),
    }),
    onDispatch: (dispatch) => runner.dispatch(dispatch),
    onRegistered: (registered) => new Streams({ client, ...registered, ...streamed, log }),
  })
  projects.onChange(publish)
  sessions.onChange(publish)
  questions.onChange(publish)
  doors.onChange(publish)
  withdrawUseless({ questions, rules, sessions, projects, log })
  agents.onChange(() => publish({ type: 'orchestrator_updated', orchestrator: online() }))

  // Not waited for: a program that has outlived its orchestrator may take its time to end.
  void cutOff.clear()
  void runner.recover((command) => cutOff.settle(command))
  log.info({ id, projects: projects.list().length, sessions: sessions.list().length }, 'orchestrator started')
  await Promise.race([link.keep(), stopped, journal.failed])
  await runner.drain(config.drainMs)
  await outbox.emptied(FLUSH_MS)
  log.info('orchestrator stopped; its sessions go on')
}

function shipped(file: string): string {
  return fileURLToPath(new URL(`../config/${file}`, import.meta.url))
}

function start(): Promise<void> {
  const config = loadConfig(process.env)
  const log = createLogger(config.logLevel)
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'a promise was rejected and nobody looked'))
  return main(config, log)
}

try {
  await start()
  process.exit(0)
} catch (error) {
  const problem = toAioError(error)
  process.stderr.write(`aio orchestrator: ${problem.message}\n`)
  if (!(error instanceof AioError) && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  process.exit(error instanceof SupersededError ? SUPERSEDED_EXIT_CODE : 1)
}
