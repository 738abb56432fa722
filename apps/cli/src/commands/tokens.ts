import type { Role } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'

/** `aio tokens create --role R --name N`: the one command that prints a token. */
export async function createToken(cli: Cli, options: { role: Role; name: string; ttl?: number }): Promise<void> {
  const { role, name, ttl } = options
  const made = await cli.withClient((aio) =>
    aio.tokens.create.mutate({ role, name, ...(ttl === undefined ? {} : { ttlMs: ttl }) }),
  )
  cli.out.result(made, ({ token }) => token)
  if (!cli.out.isJson) cli.out.note(`Token ${made.info.id} for ${role}. It is shown this once; keep it safe.`)
}

/** `aio tokens list` */
export async function listTokens(cli: Cli): Promise<void> {
  const all = await cli.withClient((aio) => aio.tokens.list.query())
  cli.out.result(all, (tokens) =>
    table(
      ['id', 'role', 'name', 'created', 'used', 'state'],
      tokens.map((token) => [
        token.id,
        token.role,
        token.name,
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

function isOver(moment: string | undefined): boolean {
  return moment !== undefined && Date.parse(moment) <= Date.now()
}
