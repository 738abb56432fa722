import type { SecretInfo } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { readSecret } from '../stdin.ts'

/** `aio projects secrets list <project>` */
export async function listSecrets(cli: Cli, projectId: string): Promise<void> {
  const secrets = await cli.withClient(async (aio) => await aio.projects.secrets.list.query({ projectId }))
  cli.out.result(secrets, (all) =>
    all.length === 0
      ? `${projectId} has no secrets. Store one with: aio projects secrets set ${projectId} NAME`
      : describe(all),
  )
}

/** `aio projects secrets set <project> <name>`: the value comes from stdin, where no other user of the machine sees it. */
export async function setSecret(cli: Cli, projectId: string, name: string): Promise<void> {
  const value = await readSecret(`Value of ${name} (it is not shown): `)
  const secrets = await cli.withClient(async (aio) => await aio.projects.secrets.set.mutate({ projectId, name, value }))
  cli.out.result(secrets, () => `Stored ${name}. Sessions of ${projectId} that are started from now on have it.`)
}

/** `aio projects secrets unset <project> <name>` */
export async function unsetSecret(cli: Cli, projectId: string, name: string): Promise<void> {
  const secrets = await cli.withClient(async (aio) => await aio.projects.secrets.unset.mutate({ projectId, name }))
  cli.out.result(secrets, () => `Forgot ${name}. Sessions that run keep it until they end.`)
}

function describe(secrets: readonly SecretInfo[]): string {
  return table(
    ['name', 'from', 'set'],
    secrets.map(({ name, source, updatedAt }) => [
      name,
      { stored: 'this platform', file: 'a file of the machine', env: "the orchestrator's environment" }[source],
      updatedAt === undefined ? '-' : `${ago(updatedAt)} ago`,
    ]),
  )
}
