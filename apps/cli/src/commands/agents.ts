import type { AgentInfo } from '@ai-orchestration/protocol'
import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { showProgress } from '../progress.ts'

/** `aio agents list` */
export async function listAgents(cli: Cli): Promise<void> {
  const all = await cli.withClient(async (aio) => {
    const orchestratorId = await cli.orchestratorId(aio)
    const offers = await aio.agents.list.query(orchestratorId === undefined ? {} : { orchestratorId })
    const machines = await aio.orchestrators.list.query()
    const nameOf = (id: string) => machines.find((one) => one.id === id)?.name ?? id
    return offers.map((offer) => ({ ...offer, orchestrator: nameOf(offer.orchestratorId) }))
  })
  cli.out.result(all, (machines) =>
    table(
      ['agent', 'ready', 'version', 'orchestrator', 'what to do'],
      machines.flatMap(({ orchestrator, agents }) =>
        agents.map((agent) => [
          agent.id,
          agent.ready ? 'yes' : 'no',
          versionOf(agent),
          orchestrator,
          agent.ready ? '' : (agent.reason ?? ''),
        ]),
      ),
    ),
  )
}

/** `aio agents update <agent> [--to version]` */
export async function updateAgent(cli: Cli, agent: string, { to }: { to?: string }): Promise<void> {
  await installAgent(cli, to === undefined ? agent : `${agent}@${to}`)
}

/** `aio agents install <agent>[@version]` */
export async function installAgent(cli: Cli, wanted: string): Promise<void> {
  const [agent = wanted, version] = wanted.split('@', 2)
  await using aio = await cli.connect()
  const info = await cli.command(async (commandId) => {
    await using _progress = showProgress(aio, commandId)
    const orchestratorId = await cli.orchestratorId(aio)
    return await aio.agents.install.mutate({
      agent,
      commandId,
      ...(version === undefined ? {} : { version }),
      ...(orchestratorId === undefined ? {} : { orchestratorId }),
    })
  })
  cli.out.result(info, ({ name, version: installed, ready, reason }) => {
    const done = `${name}${installed === undefined ? '' : ` ${installed}`} is installed.`
    return ready || reason === undefined ? done : `${done} ${reason}`
  })
}

function versionOf({ version, pinnedVersion }: AgentInfo): string {
  if (version === undefined) return '-'
  return pinnedVersion === undefined || pinnedVersion === version ? version : `${version} (pinned: ${pinnedVersion})`
}
