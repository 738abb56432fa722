import type { Role, Scope } from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'
import { type Cli, machineId } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'

/** `aio tokens create --role R --name N [--project P…] [--machine M…]`: the one command that prints a token. */
export async function createToken(
  cli: Cli,
  options: { role: Exclude<Role, 'enroll'>; name: string; ttl?: number; project?: string[]; machine?: string[] },
): Promise<void> {
  const { role, name, ttl, project: projects, machine } = options
  const made = await cli.withClient(async (aio) =>
    aio.tokens.create.mutate({
      ...{ role, name, projects, orchestrators: await machineIds(aio, machine) },
      ...(ttl === undefined ? {} : { ttlMs: ttl }),
    }),
  )
  cli.out.result(made, ({ token }) => token)
  if (!cli.out.isJson)
    cli.out.note(`Token ${made.info.id} for ${role}${limitsOf(made.info)}. It is shown this once; keep it safe.`)
}

/** `aio tokens change <id>`: what it allows from now on. */
export async function changeToken(
  cli: Cli,
  tokenId: string,
  options: {
    role?: Exclude<Role, 'orchestrator' | 'enroll'>
    project?: string[]
    machine?: string[]
    allProjects?: boolean
    allMachines?: boolean
  },
): Promise<void> {
  const { role, project, machine, allProjects = false, allMachines = false } = options
  const info = await cli.withClient(async (aio) =>
    aio.tokens.change.mutate({
      ...{ tokenId, role },
      projects: allProjects ? null : project,
      orchestrators: allMachines ? null : await machineIds(aio, machine),
    }),
  )
  cli.out.result(
    info,
    (token) =>
      `Token ${token.id} (${token.name}) is for ${token.role}${limitsOf(token)} now; whoever used it logs in again.`,
  )
}

/** `aio tokens list` */
export async function listTokens(cli: Cli): Promise<void> {
  const all = await cli.withClient((aio) => aio.tokens.list.query())
  cli.out.result(all, (tokens) =>
    table(
      ['id', 'role', 'name', 'limits', 'created', 'used', 'state'],
      tokens.map((token) => [
        token.id,
        token.role,
        token.name,
        limitsOf(token).trim(),
        `${ago(token.createdAt)} ago`,
        token.lastUsedAt === undefined ? 'never' : `${ago(token.lastUsedAt)} ago`,
        token.revokedAt !== undefined ? 'revoked' : isOver(token.expiresAt) ? 'expired' : 'valid',
      ]),
    ),
  )
}

/** `aio tokens revoke <id>` */
export async function revokeToken(cli: Cli, tokenId: string): Promise<void> {
  const info = await cli.withClient((aio) => aio.tokens.revoke.mutate({ tokenId }))
  cli.out.result(info, ({ id, name }) => `Revoked token ${id} (${name}); whoever used it is disconnected.`)
}

async function machineIds(aio: Client, wanted: string[] | undefined): Promise<string[] | undefined> {
  return wanted === undefined ? undefined : await Promise.all(wanted.map((one) => machineId(aio, one)))
}

function limitsOf({ projects, orchestrators }: Scope): string {
  const inProjects = projects === undefined ? '' : ` in ${projects.join(', ')}`
  return orchestrators === undefined ? inProjects : `${inProjects} on ${orchestrators.join(', ')}`
}

function isOver(moment: string | undefined): boolean {
  return moment !== undefined && Date.parse(moment) <= Date.now()
}
