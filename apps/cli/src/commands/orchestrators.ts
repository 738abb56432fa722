import type { Cli } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'

const GIB = 1024 ** 3

/** `aio orchestrators`: the machines and how they stand. */
export async function listOrchestrators(cli: Cli): Promise<void> {
  const all = await cli.withClient((aio) => aio.orchestrators.list.query())
  cli.out.result(all, (machines) =>
    machines.length === 0
      ? 'No orchestrator has joined yet. Start one with: aio orchestrator'
      : table(
          ['name', 'state', 'seen', 'cores', 'memory', 'isolation', 'agents', 'id'],
          machines.map((one) => [
            one.name,
            one.state,
            `${ago(one.lastSeenAt)} ago`,
            String(one.machine.cores),
            `${(one.machine.memoryBytes / GIB).toFixed(1)} GiB`,
            one.isolation,
            one.agents
              .filter((agent) => agent.ready)
              .map((agent) => agent.id)
              .join(' '),
            one.id,
          ]),
        ),
  )
  for (const one of all) for (const warning of one.warnings) cli.out.note(`${one.name}: ${warning}`)
}
