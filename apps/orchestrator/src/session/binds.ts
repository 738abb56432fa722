import { join } from 'node:path'
import type { Bind } from './container.ts'
import { workspaceOf } from './paths.ts'

/** A project's objects, read-only, where the alternates of its sessions name them. */
export function objectsBind(repo: string): Bind {
  return { source: join(repo, '.git/objects'), destination: '/project/.objects', isWritable: false }
}

/** What a session's container, and every helper beside it, sees of its project. */
export function projectBinds(sessionId: string, from: { worktree: string; repo: string }, isWritable: boolean): Bind[] {
  return [{ source: from.worktree, destination: workspaceOf(sessionId), isWritable }, objectsBind(from.repo)]
}
