import type { AgentInfo, Orchestrator, Project, Question, Role, Session } from '@ai-orchestration/protocol'
import { skipToken, useQuery } from '@tanstack/react-query'
import type { CommandView, FleetState } from './fleet-state.ts'
import { trpc } from './trpc.ts'

/** The event stream keeps these queries fresh, so they are asked for once. */
const LIVE = { staleTime: Number.POSITIVE_INFINITY, gcTime: Number.POSITIVE_INFINITY } as const

/** Where the commands that this page has watched are kept in the query cache. */
export const COMMANDS_KEY = ['aio', 'commands'] as const

/** Where the questions that were settled while this page was open are kept in the query cache. */
export const SETTLED_KEY = ['aio', 'settled'] as const

const NO_SETTLED: FleetState['settled'] = {}
const NO_COMMANDS: FleetState['commands'] = {}

/** All machines, live; `undefined` until they are known. */
export function useOrchestrators(): Orchestrator[] | undefined {
  return trpc.orchestrators.list.useQuery(undefined, LIVE).data
}

/** All projects, live, by name; `undefined` until they are known. */
export function useProjects(): Project[] | undefined {
  return trpc.projects.list.useQuery(undefined, { ...LIVE, select: byName }).data
}

/** All sessions, live, newest first; `undefined` until they are known. */
export function useSessions(): Session[] | undefined {
  return trpc.sessions.list.useQuery(undefined, { ...LIVE, select: newestFirst }).data
}

/** The questions that wait for a person, live, oldest first; `undefined` until they are known. */
export function useQuestions(): Question[] | undefined {
  return trpc.inbox.list.useQuery(undefined, { ...LIVE, select: oldestFirst }).data
}

/** The questions that were settled while this page was open, by id. */
export function useSettled(): FleetState['settled'] {
  return useQuery<FleetState['settled']>({ queryKey: SETTLED_KEY, queryFn: skipToken, ...LIVE }).data ?? NO_SETTLED
}

/** The commands that this page has watched, by id. */
export function useCommands(): FleetState['commands'] {
  return useQuery<FleetState['commands']>({ queryKey: COMMANDS_KEY, queryFn: skipToken, ...LIVE }).data ?? NO_COMMANDS
}

/** One watched command, live. */
export function useCommand(commandId: string | undefined): CommandView | undefined {
  const commands = useCommands()
  return commandId === undefined ? undefined : commands[commandId]
}

/** The newest watched command of a session with this name. */
export function useSessionCommand(sessionId: string, command: string): CommandView | undefined {
  return newest(Object.values(useCommands()).filter((each) => each.sessionId === sessionId && each.command === command))
}

/** Who this device is logged in as. */
export function useMe() {
  return trpc.auth.whoami.useQuery(undefined, { staleTime: Number.POSITIVE_INFINITY }).data
}

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2, orchestrator: -1, enroll: -1 }

/** Why this device may not do what needs a role, for the hover of a disabled action; `undefined` when it may. */
export function useRoleReason(role: 'operator' | 'admin'): string | undefined {
  const me = useMe()
  if (me === undefined || me.roles.some((each) => RANK[each] >= RANK[role])) return undefined
  return role === 'admin' ? 'Only an admin may do this' : 'This device may only watch'
}

/** Agents of one machine, ready ones first. */
export function agentsOf(orchestrator: Orchestrator | undefined): AgentInfo[] {
  return [...(orchestrator?.agents ?? [])].sort((a, b) => Number(b.ready) - Number(a.ready))
}

function newest(views: CommandView[]): CommandView | undefined {
  return views.sort((a, b) => (a.commandId < b.commandId ? 1 : -1))[0]
}

function byName(projects: Project[]): Project[] {
  return projects.toSorted((a, b) => a.name.localeCompare(b.name))
}

// The ids are ULIDs, which sort by the time they were made.
function oldestFirst(questions: Question[]): Question[] {
  return questions.toSorted((a, b) => (a.id < b.id ? -1 : 1))
}

function newestFirst(sessions: Session[]): Session[] {
  return sessions.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : a.createdAt > b.createdAt ? -1 : 0))
}
