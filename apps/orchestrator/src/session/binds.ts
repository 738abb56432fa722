import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AGENTS_INSIDE, PROGRAMS_INSIDE } from '../agent/generations.ts'
import type { Bind } from './container.ts'
import { workspaceOf } from './paths.ts'
import type { AgentSource } from './services.ts'

/** A project's objects, read-only, where the alternates of its sessions name them. */
export function objectsBind(repo: string): Bind {
  return { source: join(repo, '.git/objects'), destination: '/project/.objects', isWritable: false }
}

/** What a session's container, and every helper beside it, sees of its project. */
export function projectBinds(sessionId: string, from: { worktree: string; repo: string }, isWritable: boolean): Bind[] {
  return [{ source: from.worktree, destination: workspaceOf(sessionId), isWritable }, objectsBind(from.repo)]
}

/** The agents of this machine, read-only, with their programs as they are now. */
export async function agentsBinds(agents: Pick<AgentSource, 'agentsDir' | 'programsDir'>): Promise<Bind[]> {
  const { agentsDir, programsDir } = agents
  await mkdir(join(agentsDir, 'bin'), { recursive: true, mode: 0o755 })
  return [
    { source: agentsDir, destination: AGENTS_INSIDE, isWritable: false },
    ...(programsDir === undefined ? [] : [{ source: programsDir, destination: PROGRAMS_INSIDE, isWritable: false }]),
  ]
}
