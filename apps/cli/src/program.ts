import { type Command, InvalidArgumentError, Option } from 'commander'
import type { GlobalFlags } from './cli.ts'
import { parseDuration } from './duration.ts'
import { EXEC_FAILED } from './exit-code.ts'
import { parseMebibytes } from './mebibytes.ts'
import type { Runner } from './runner.ts'

/** The whole grammar of `aio`. The code of a command is loaded only when it runs. */
export function buildProgram(program: Command, version: string, run: Runner): Command {
  program
    .description('Run AI coding agents in isolated sessions and steer them.')
    .version(version)
    .option('--relay <url>', 'address of the relay')
    .option('--token <token>', 'token for the relay; - reads it from stdin, where other users cannot see it')
    .option('--orchestrator <name>', 'machine to use, by name or id')
    .option('--json', 'print one JSON value; streams print one per line')
    .option('--timeout <time>', 'how long to wait: 30 (seconds), 500ms, 5m', duration)
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
  addServices(program, run)
  addLogin(program, run)
  addTokens(program, run)
  addAudit(program, run)
  addProjects(program, run)
  addSessions(program, run)
  addInbox(program, run)
  addChat(program, run)
  addAgents(program, run)
  addRootfs(program, run)
  addCommands(program, run)
  addOriginalSpellings(program, run)
  return program
}

function addServices(program: Command, run: Runner): void {
  program
    .command('up')
    .description('start relay and orchestrator on this machine and keep them running')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/up.ts')).up(cli)))
  program
    .command('relay')
    .description('start the relay alone')
    .action((_, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/service.ts')).runService(cli, 'relay')),
    )
  program
    .command('orchestrator')
    .description('start the orchestrator of this machine alone')
    .option('--enroll <code>', 'join the relay with a code of `aio orchestrators enroll`; - reads it from stdin')
    .action((options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/service.ts')).runService(cli, 'orchestrator', options),
      ),
    )
  program
    .command('backup <file>')
    .description("copy the relay's database on this machine to a new file, also while the relay runs")
    .action((file: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/backup.ts')).backUp(cli, file)),
    )
  program
    .command('doctor')
    .description('check what this machine needs, and say what to do')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/doctor.ts')).doctor(cli)))
  const orchestrators = program
    .command('orchestrators')
    .description('list the machines')
    .action((_, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/orchestrators.ts')).listOrchestrators(cli)),
    )
  orchestrators
    .command('enroll')
    .description('print a one-time code, and the command that lets another machine join with it')
    .option('--name <name>', 'what to call it')
    .option('--replace <machine>', 'the machine, by name or id, that it is or takes the place of; gives it a new key')
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/orchestrators.ts')).enrollOrchestrator(cli, options)),
    )
}

function addLogin(program: Command, run: Runner): void {
  program
    .command('login [url]')
    .description("log in at a relay; without arguments on the relay's machine: print a one-time link")
    .option('--code <code>', 'one-time code, as in the link')
    .action((url: string | undefined, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/login.ts')).login(cli, url, options)),
    )
  program
    .command('logout')
    .description('revoke the token of this login and forget it')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/login.ts')).logout(cli)))
}

function addTokens(program: Command, run: Runner): void {
  const tokens = program.command('tokens').description('tokens of people and machines')
  tokens
    .command('create')
    .description('make a token; it is printed this once')
    .addOption(
      new Option('--role <role>', 'what it allows')
        .choices(['viewer', 'operator', 'admin', 'orchestrator'])
        .makeOptionMandatory(),
    )
    .requiredOption('--name <name>', 'whose it is')
    .option('--ttl <time>', 'how long it is valid, such as 30d', duration)
    .option('--project <project...>', 'for these projects only')
    .option('--machine <machine...>', 'for these machines only, by name or id')
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/tokens.ts')).createToken(cli, options)),
    )
  tokens
    .command('change <id>')
    .description('change what a token allows, at once; its devices log in again')
    .addOption(new Option('--role <role>', 'what it allows').choices(['viewer', 'operator', 'admin']))
    .addOption(new Option('--project <project...>', 'for these projects only').conflicts('allProjects'))
    .addOption(new Option('--machine <machine...>', 'for these machines only').conflicts('allMachines'))
    .option('--all-projects', 'for all projects')
    .option('--all-machines', 'for all machines')
    .action((id: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/tokens.ts')).changeToken(cli, id, options)),
    )
  tokens
    .command('list')
    .description('list the tokens')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/tokens.ts')).listTokens(cli)))
  tokens
    .command('revoke <id>')
    .description('make a token worthless at once')
    .action((id: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/tokens.ts')).revokeToken(cli, id)),
    )
}

function addAudit(program: Command, run: Runner): void {
  program
    .command('audit')
    .description('show who changed what, newest first')
    .option('--limit <count>', 'how many to show, up to 1000; 100 when absent', count)
    .option('--before <id>', 'show those older than this one', count)
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/audit.ts')).showAudit(cli, options)),
    )
}

function addProjects(program: Command, run: Runner): void {
  const projects = program.command('projects').description('git repositories that sessions work on')
  projects
    .command('list')
    .description('list the projects')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).listProjects(cli)))
  projects
    .command('create [name]')
    .description('create a project; its name is taken from the repository when not given')
    .option('--repo <url>', 'repository to clone; an empty one is made when absent')
    .option('--title <title>', 'text to show')
    .option('--agent <agent>', 'agent of new sessions')
    .action((name: string | undefined, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).createProject(cli, name, options)),
    )
  projects
    .command('show <project>')
    .description('show the settings of a project')
    .action((project: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).showProject(cli, project)),
    )
  projects
    .command('set <project>')
    .description('change the settings of a project, for sessions made from now on')
    .option('--title <title>', 'text to show; empty for none')
    .option('--agent <agent>', 'agent of new sessions; empty for none')
    .option('--branch <branch>', 'branch that new sessions start from')
    .option('--env <name=value...>', 'variables of every session')
    .option('--unset-env <name...>', 'variables to take away')
    .option('--setup <line...>', 'shell lines to run once per base commit, without network; empty for none')
    .option('--setup-optional', 'start sessions although the setup failed')
    .option('--no-setup-optional', 'refuse sessions when the setup failed')
    .option('--disposable <name...>', 'names that may be lost with a session when git ignores them')
    .option('--pool <count>', 'containers that wait for its sessions, 0 to 8; each session begins sooner', Number)
    .option('--memory <size>', 'most memory of a session, in MiB or with a unit such as 4G', mebibytes)
    .option('--cpus <cores>', 'most processor time of a session, in cores', Number)
    .option('--pids <count>', 'most processes of a session', count)
    .option('--disk <size>', 'most disk of a session', mebibytes)
    .action((project: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).setProject(cli, project, options)),
    )
  const secrets = projects.command('secrets').description("values that only a project's own sessions are given")
  secrets
    .command('list <project>')
    .description('list their names')
    .action((project: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/secrets.ts')).listSecrets(cli, project)),
    )
  secrets
    .command('set <project> <name>')
    .description('store one; its value is read from stdin')
    .action((project: string, name: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/secrets.ts')).setSecret(cli, project, name)),
    )
  secrets
    .command('unset <project> <name>')
    .description('forget one')
    .action((project: string, name: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/secrets.ts')).unsetSecret(cli, project, name)),
    )
  projects
    .command('delete <project>')
    .description('move a project to the archives of its machine; refused while it has sessions')
    .option('--force', 'archive and remove its sessions first')
    .action((project: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).deleteProject(cli, project, options)),
    )
}

function addSessions(program: Command, run: Runner): void {
  const sessions = program.command('sessions').description('agents at work, each in its container and worktree')
  sessions
    .command('list [project]')
    .description('list the sessions')
    .action((project: string | undefined, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).listSessions(cli, project)),
    )
  sessions
    .command('create <project> <name>')
    .description('create a session; done once its process runs')
    .option('--agent <agent>', "agent to start; the project's default when absent")
    .option('--prompt <prompt>', 'what the agent is to do')
    .option('--title <title>', 'text to show')
    .option('--base <ref>', 'branch, tag or commit to start from')
    .option('--chat', 'talk with the agent in a chat instead of its own terminal')
    .addOption(
      new Option('--permissions <mode>', 'whether the agent asks before it uses a tool').choices(['allow', 'ask']),
    )
    .option('--resume-branch', 'continue from an existing feature/<name> that no session owns')
    .option('--memory <size>', 'most memory, in MiB or with a unit such as 4G', mebibytes)
    .option('--cpus <cores>', 'most processor time, in cores', decimal)
    .option('--pids <count>', 'most processes at once', decimal)
    .option('--disk <size>', 'most disk, in MiB or with a unit such as 20G', mebibytes)
    .action((project: string, name: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/sessions.ts')).createSession(cli, project, name, options),
      ),
    )
  sessions
    .command('attach <session>')
    .description('work in its terminal; Ctrl-], or ~. at the beginning of a line, leaves')
    .action((session: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/attach.ts')).attach(cli, session)),
    )
  sessions
    .command('pause <session>')
    .description('freeze its processes; nothing is lost, and they use no processor time')
    .action((session: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).pauseSession(cli, session)),
    )
  sessions
    .command('resume <session>')
    .description('let a paused session go on')
    .action((session: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).resumeSession(cli, session)),
    )
  sessions
    .command('restart <session>')
    .description('start its agent anew, also after its end; workspace and home stay')
    .option('--prompt <prompt>', 'what the agent is to do')
    .option('--chat', 'switch to a chat')
    .option('--terminal', "switch to the agent's own terminal")
    .addOption(
      new Option('--permissions <mode>', 'whether the agent asks before it uses a tool').choices(['allow', 'ask']),
    )
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).restartSession(cli, session, options)),
    )
  sessions
    .command('limits <session>')
    .description('show what it may use, or change that while it runs')
    .option('--memory <size>', 'most memory, in MiB or with a unit such as 4G', mebibytes)
    .option('--cpus <cores>', 'most processor time, in cores', decimal)
    .option('--pids <count>', 'most processes at once', decimal)
    .option('--disk <size>', 'most disk, in MiB or with a unit such as 20G', mebibytes)
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).sessionLimits(cli, session, options)),
    )
  sessions
    .command('stats <session>')
    .description('print what it uses every two seconds')
    .action((session: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).showStats(cli, session)),
    )
  sessions
    .command('terminate <session>')
    .description('end and remove a session; refused when work would be lost')
    .option('--force', 'remove it all the same; what is not committed is archived first')
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/sessions.ts')).terminateSession(cli, session, options),
      ),
    )
  sessions
    .command('fork <session> <name>')
    .description('create a session that begins where another one stands, with its files and commits')
    .option('--prompt <prompt>', 'what its agent is to do')
    .option('--title <title>', 'text to show')
    .action((session: string, name: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/copies.ts')).forkSession(cli, session, name, options),
      ),
    )
  sessions
    .command('archives [project]')
    .description('list what was kept of removed sessions')
    .action((project: string | undefined, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/copies.ts')).listArchives(cli, project)),
    )
  sessions
    .command('restore <archive>')
    .description('bring a removed session back; an id of a session stands for its latest archive')
    .option('--name <name>', 'name of the session; the one it had when absent')
    .option('--stopped', 'bring its work back, and start nothing')
    .action((archive: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/copies.ts')).restoreSession(cli, archive, options)),
    )
  sessions
    .command('export <session>')
    .description('write its work as a patch from its base, or all its commits as a git bundle')
    .addOption(new Option('--format <format>', 'what to write').choices(['patch', 'bundle']).default('patch'))
    .option('-o, --output <file>', 'new file to write to; standard output when absent')
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/copies.ts')).exportSession(cli, session, options)),
    )
  sessions
    .command('exec <session> <command...>')
    .usage('[options] <session> -- <command...>')
    .description("run a program inside; ends with the program's own status, 125 when we failed")
    .option('--cwd <directory>', 'where to run it; the workspace when absent')
    .option('-i, --interactive', 'send our stdin, even when it is a terminal')
    .action((session: string, argv: string[], options, self) =>
      run(
        flagsOf(self),
        async (cli) => (await import('./commands/exec.ts')).execInSession(cli, session, argv, options),
        { failed: EXEC_FAILED },
      ),
    )
  sessions
    .command('logs <session>')
    .description('print what its terminal shows')
    .option('-f, --follow', 'go on printing until it ends')
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/logs.ts')).showLogs(cli, session, options)),
    )
}

function addInbox(program: Command, run: Runner): void {
  program
    .command('inbox')
    .description('what sessions ask of you: hosts, tools, budgets, questions of agents')
    .option('--session <session>', 'of this session only')
    .option('--project <project>', 'of this project only')
    .option('--all', 'also what was answered or withdrawn lately')
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/inbox.ts')).showInbox(cli, options)),
    )
  for (const [name, style] of [
    ['approve', 'allow'],
    ['deny', 'deny'],
  ] as const)
    program
      .command(`${name} <id>`)
      .description(`${name} what a session asks; the last six characters of the id will do`)
      .addOption(new Option('--always <reach>', 'make a rule of it').choices(['session', 'project']))
      .option('--text <text>', 'what the agent is told besides')
      .action((id: string, options, self) =>
        run(flagsOf(self), async (cli) =>
          (await import('./commands/inbox.ts')).answerQuestion(cli, style, id, options),
        ),
      )
  program
    .command('answer <id> <option>')
    .description('answer with any of the options of a question')
    .option('--text <text>', 'what the agent is told besides')
    .action((id: string, option: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/inbox.ts')).chooseOption(cli, id, option, options)),
    )
  program
    .command('egress <session>')
    .description('show which hosts a session has reached or tried to')
    .option('--limit <count>', 'the latest so many, up to 1000; 200 when absent', count)
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/egress.ts')).showEgress(cli, session, options)),
    )
  const rules = program.command('rules').description('answers that stand until they are revoked')
  rules
    .command('list')
    .description('list them')
    .option('--session <session>', 'that hold for this session')
    .option('--project <project>', 'of this project only')
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/rules.ts')).listRules(cli, options)),
    )
  rules
    .command('revoke <id>')
    .description('take one back; the same is asked again from then on')
    .action((id: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/rules.ts')).revokeRule(cli, id)),
    )
}

function addChat(program: Command, run: Runner): void {
  program
    .command('prompt <session> [words...]')
    .description('ask the agent of a chat and print its answer as it comes; reads stdin without words')
    .option('--no-wait', 'only queue it')
    .action((session: string, words: string[], options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/prompt.ts')).promptSession(cli, session, words, options),
      ),
    )
  program
    .command('logs <session>')
    .description('print what a session has shown')
    .option('--chat', 'its conversation instead of its terminal')
    .option('-f, --follow', 'go on with what comes')
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        options.chat === true
          ? (await import('./commands/chat-logs.ts')).showChat(cli, session, options)
          : (await import('./commands/logs.ts')).showLogs(cli, session, options),
      ),
    )
}

function addAgents(program: Command, run: Runner): void {
  const agents = program.command('agents').description('programs that sessions can run')
  agents
    .command('list')
    .description('list the agents of each machine')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/agents.ts')).listAgents(cli)))
  agents
    .command('install <agent[@version]>')
    .description('install an agent on the machine, in its pinned version unless another one is given')
    .action((agent: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/agents.ts')).installAgent(cli, agent)),
    )
  agents
    .command('update <agent>')
    .description('move an agent to its pinned version or another one; sessions that run keep theirs')
    .option('--to <version>', 'exact version; its checksums are recorded when it is first installed')
    .action((agent: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/agents.ts')).updateAgent(cli, agent, options)),
    )
}

function addRootfs(program: Command, run: Runner): void {
  const rootfs = program.command('rootfs').description('what containers of a machine start from')
  rootfs
    .command('info')
    .description('show what new sessions start from')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/rootfs.ts')).showRootfs(cli)))
  rootfs
    .command('build')
    .description('build a root filesystem of its own from the Debian packages of the machine; takes about a minute')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/rootfs.ts')).buildRootfs(cli)))
}

function addCommands(program: Command, run: Runner): void {
  program
    .command('run <command>')
    .description('run any command of the orchestrator by name, your own included')
    .option('--input <json>', 'its input; - reads it from stdin')
    .option('--id <id>', 'id of the command; asking again with the same one runs nothing twice')
    .option('--ttl <time>', 'how long it may wait to start', duration)
    .action((command: string, options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/run.ts')).runCommand(cli, command, options)),
    )
  const commands = program.command('commands').description('what was asked for, and what became of it')
  commands
    .command('list')
    .description('list the latest')
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/run.ts')).listCommands(cli)))
  commands
    .command('get <id>')
    .description('show one')
    .action((id: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/run.ts')).getCommand(cli, id)),
    )
  commands
    .command('cancel <id>')
    .description('stop one, or keep it from starting')
    .action((id: string, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/run.ts')).cancelCommand(cli, id)),
    )
  program
    .command('events')
    .description('print what happens, until Ctrl-C')
    .option('--after <position>', 'begin after this position, as an event carries it')
    .option('--project <project>', 'of this project only')
    .option('--session <session>', 'of this session only')
    .option('--type <type...>', 'of these types only')
    .action((options, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/events.ts')).watchEvents(cli, options)),
    )
}

/** The spellings of the original README go on working, without a place in the help. */
function addOriginalSpellings(program: Command, run: Runner): void {
  program
    .command('list-projects', { hidden: true })
    .action((_, self) => run(flagsOf(self), async (cli) => (await import('./commands/projects.ts')).listProjects(cli)))
  program
    .command('create-project <name>', { hidden: true })
    .option('--repo-url <url>')
    .action((name: string, { repoUrl }: { repoUrl?: string }, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/projects.ts')).createProject(
          cli,
          name,
          repoUrl === undefined ? {} : { repo: repoUrl },
        ),
      ),
    )
  program
    .command('list-sessions [projectId]', { hidden: true })
    .action((project: string | undefined, _, self) =>
      run(flagsOf(self), async (cli) => (await import('./commands/sessions.ts')).listSessions(cli, project)),
    )
  program
    .command('create-session <projectId> <name>', { hidden: true })
    .option('--agent <agent>')
    .option('--prompt <prompt>')
    .option('--base <ref>')
    .action((project: string, name: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/sessions.ts')).createSession(cli, project, name, options),
      ),
    )
  program
    .command('terminate-session <sessionId>', { hidden: true })
    .option('--force')
    .action((session: string, options, self) =>
      run(flagsOf(self), async (cli) =>
        (await import('./commands/sessions.ts')).terminateSession(cli, session, options),
      ),
    )
}

function flagsOf(command: Command): GlobalFlags {
  const { relay, token, orchestrator, json, timeout } = command.optsWithGlobals<GlobalFlags>()
  return { relay, token, orchestrator, json, timeout }
}

function mebibytes(text: string): number {
  const size = parseMebibytes(text)
  if (size === undefined) throw new InvalidArgumentError('Write a size such as 512 (MiB), 512M, 4G or 1T.')
  return size
}

function decimal(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Write a number above 0.')
  return value
}

function duration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('A time looks like 30 (seconds), 500ms, 5m, 12h or 30d.')
  return ms
}

function count(text: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('A whole number from 1 on.')
}
