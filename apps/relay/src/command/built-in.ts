import {
  AioError,
  BUILT_IN_COMMANDS,
  type BuiltInCommand,
  describeIssues,
  isSlug,
  parseCloneUrl,
  parseSessionId,
  sessionIdOf,
  sessionOfArchive,
} from '@ai-orchestration/protocol'

/** What a command is about, so that watchers of a project or session see it. */
export interface About {
  projectId?: string
  sessionId?: string
}

/** Tells whether a command is one of ours. */
export function isBuiltIn(command: string): command is BuiltInCommand {
  return Object.hasOwn(BUILT_IN_COMMANDS, command)
}

/** The input of a command, checked when it is a built-in one. @throws AioError INVALID_INPUT */
export function checkedInput(command: string, input: unknown): unknown {
  if (!isBuiltIn(command)) return withoutPrototypeKeys(input)
  const result = BUILT_IN_COMMANDS[command].input.safeParse(input)
  if (result.success) return result.data
  throw new AioError('INVALID_INPUT', describeIssues(result.error), { cause: result.error })
}

/** The output of a command, checked when it is a built-in one. @throws AioError INVALID_OUTPUT */
export function checkedOutput(command: string, output: unknown): unknown {
  if (!isBuiltIn(command)) return withoutPrototypeKeys(output)
  const result = BUILT_IN_COMMANDS[command].output.safeParse(output)
  if (result.success) return result.data
  throw new AioError(
    'INVALID_OUTPUT',
    `The command ${command} answered something that does not fit its declared output: ${describeIssues(result.error)} Update the orchestrator, or mend the command.`,
  )
}

/** What a command is about, as far as its input says it. */
export function aboutOf(command: string, input: unknown): About {
  const projectId = textField(input, 'projectId')
  const sessionId = textField(input, 'sessionId')
  const name = textField(input, 'name')
  if (command === 'create_project') {
    const repoUrl = textField(input, 'repoUrl')
    const target = name ?? (repoUrl === undefined ? undefined : parseCloneUrl(repoUrl).inferredName)
    return target === undefined ? {} : { projectId: target }
  }
  if (command === 'create_session' && projectId !== undefined && name !== undefined)
    return { projectId, sessionId: sessionIdOf(projectId, name) }
  if (command === 'restore_session') {
    const archived = parseSessionId(sessionOfArchive(textField(input, 'archiveId') ?? ''))
    if (archived === undefined) return {}
    return { projectId: archived.projectId, sessionId: sessionIdOf(archived.projectId, name ?? archived.name) }
  }
  const session = sessionId === undefined ? undefined : parseSessionId(sessionId)
  if (sessionId !== undefined && session !== undefined) return { projectId: session.projectId, sessionId }
  return projectId === undefined || !isSlug(projectId) ? {} : { projectId }
}

/** The question that a command answers, if it does. */
export function questionIdOf(command: string, input: unknown): string | undefined {
  return command === ('answer_question' satisfies BuiltInCommand) ? textField(input, 'questionId') : undefined
}

/** Every project that an input names, itself or by a session of it. */
export function projectsNamedBy(input: unknown): string[] {
  const sessionId = textField(input, 'sessionId')
  const session = sessionId === undefined ? undefined : parseSessionId(sessionId)
  return [textField(input, 'projectId'), session?.projectId].filter((id) => id !== undefined)
}

/** Commands that change what every session of a machine runs on. */
const ADMIN_COMMANDS: ReadonlySet<string> = new Set<BuiltInCommand>(['build_rootfs'])

/** Refuses a command of admins to anyone else, by whatever procedure it was asked for. @throws AioError FORBIDDEN */
export function refuseAdminCommand(command: string, isAdmin: boolean): void {
  if (isAdmin || !ADMIN_COMMANDS.has(command)) return
  throw new AioError(
    'FORBIDDEN',
    `Only an admin may run ${command}: it changes what every new session of the machine runs on. Ask an admin.`,
  )
}

/** Refuses a clone from the machine's own disk for anyone but admins. @throws AioError FORBIDDEN */
export function refuseLocalClone(command: string, input: unknown, isAdmin: boolean): void {
  const repoUrl = command === 'create_project' ? textField(input, 'repoUrl') : undefined
  if (repoUrl === undefined || isAdmin || parseCloneUrl(repoUrl).kind !== 'local') return
  throw new AioError(
    'FORBIDDEN',
    "Only an admin may clone from a path on the orchestrator's machine. Use an https or ssh URL, or ask an admin.",
  )
}

function textField(input: unknown, field: string): string | undefined {
  if (typeof input !== 'object' || input === null || !Object.hasOwn(input, field)) return undefined
  const value: unknown = Reflect.get(input, field)
  return typeof value === 'string' ? value : undefined
}

/** A copy of JSON data without keys that could reach an object's prototype in code that merges it carelessly. */
export function withoutPrototypeKeys(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(withoutPrototypeKeys)
  if (typeof data !== 'object' || data === null) return data
  return Object.fromEntries(
    Object.entries(data)
      .filter(([key]) => key !== '__proto__' && key !== 'constructor' && key !== 'prototype')
      .map(([key, value]) => [key, withoutPrototypeKeys(value)]),
  )
}
