import { AioError, type Principal, type Role } from '@ai-orchestration/protocol'

/** Roles that a person's device can have. */
export type ClientRole = Exclude<Role, 'orchestrator' | 'enroll'>

const ORDER: readonly ClientRole[] = ['viewer', 'operator', 'admin']

/** Tells whether a role is a person's, not a machine's. */
export function isClientRole(role: Role): role is ClientRole {
  return role !== 'orchestrator' && role !== 'enroll'
}

/** The strongest client role among some, or `undefined`. */
export function clientRole(roles: readonly Role[]): ClientRole | undefined {
  return ORDER.findLast((role) => roles.includes(role))
}

/** The role wanted, when it is no stronger than one's own, which is what one gets when none is named. @throws AioError FORBIDDEN */
export function ownOrWeaker({ roles }: Principal, wanted: ClientRole | undefined): ClientRole {
  const own = clientRole(roles)
  const role = wanted ?? own
  if (own !== undefined && role !== undefined && ORDER.indexOf(role) <= ORDER.indexOf(own)) return role
  throw new AioError('FORBIDDEN', `A login code cannot have a stronger role than your own, which is ${own ?? 'none'}.`)
}
