import type { Isolation, Permissions, Session } from '@ai-orchestration/protocol'

/** What a new session's agent may do without asking: where nothing but the session can be harmed, it need not ask. */
export function permissionsFor(asked: Permissions | undefined, isolation: Isolation): Permissions {
  return asked ?? (isolation === 'full' ? 'allow' : 'ask')
}

/** The same when it is started again: what a person says now, else what it had; a machine only ever tightens it. */
export function permissionsAgain(
  asked: Permissions | undefined,
  session: Pick<Session, 'permissions' | 'isolation'>,
  isolation: Isolation,
): Permissions {
  if (asked !== undefined) return asked
  return isolation === 'full' ? permissionsFor(session.permissions, session.isolation) : 'ask'
}
