import type { RootfsInfo } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { inert } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { showProgress } from '../progress.ts'

/** `aio rootfs info` */
export async function showRootfs(cli: Cli): Promise<void> {
  const info = await cli.withClient(async (aio) => {
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.rootfs.info.query(orchestratorId === undefined ? {} : { orchestratorId })
  })
  cli.out.result(info, describeRootfs)
}

/** `aio rootfs build` */
export async function buildRootfs(cli: Cli): Promise<void> {
  await using aio = await cli.connect()
  const info = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.rootfs.build.mutate({ commandId, ...(orchestratorId === undefined ? {} : { orchestratorId }) })
  })
  cli.out.result(
    info,
    (built) => `${describeRootfs(built)}\nNew sessions start from it; those that run keep what they started with.`,
  )
}

/** A root filesystem in words for people. */
export function describeRootfs({ kind, path, builtAt, bytes, distribution, packages, inUseBy }: RootfsInfo): string {
  const facts = [
    distribution === undefined ? undefined : inert(distribution),
    packages === undefined ? undefined : `${packages} packages`,
    bytes === undefined ? undefined : `${Math.round(bytes / 1e6)} MB`,
    builtAt === undefined ? undefined : `built ${ago(builtAt)} ago`,
    inUseBy.length === 1 ? '1 session runs on it' : `${inUseBy.length} sessions run on it`,
  ].filter((fact) => fact !== undefined)
  const what =
    kind === 'built'
      ? `Root filesystem ${inert(path)}`
      : "Skeleton over the machine's own /usr, read-only; `aio rootfs build` makes a root filesystem of its own"
  return `${what}: ${facts.join(', ')}.`
}
