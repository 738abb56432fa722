import type { Role, Scope } from '@ai-orchestration/protocol'

/** Tells whether a token is limited to some projects or machines. */
export function isLimited({ projects, orchestrators }: Scope): boolean {
  return projects !== undefined || orchestrators !== undefined
}

/** Tells whether a scope holds a project, by name. */
export function holdsProject({ projects }: Scope, projectId: string): boolean {
  return projects === undefined || projects.includes(projectId)
}

/** Tells whether a scope holds a machine. */
export function holdsOrchestrator({ orchestrators }: Scope, orchestratorId: string): boolean {
  return orchestrators === undefined || orchestrators.includes(orchestratorId)
}

/** What a token is limited to, for a sentence. */
export function describeScope({ projects, orchestrators }: Scope): string {
  const parts = [
    ...(projects === undefined ? [] : [`the projects ${projects.join(', ')}`]),
    ...(orchestrators === undefined ? [] : [`the machines ${orchestrators.join(', ')}`]),
  ]
  return parts.join(' on ')
}

/** Why limits make no sense with a role; `undefined` when they do. */
export function whyUseless({ role, projects, orchestrators }: Scope & { role: Role }): string | undefined {
  if (role === 'admin' && isLimited({ projects, orchestrators }))
    return 'An admin makes tokens for anyone, so limits would mean nothing. Make an operator instead.'
  if (role === 'orchestrator' && (projects !== undefined || (orchestrators?.length ?? 1) > 1))
    return 'An orchestrator is one machine with all its projects: give one id at most.'
  return undefined
}
