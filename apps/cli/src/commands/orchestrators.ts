import { type Cli, machineId } from '../cli.ts'
import { table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { isLoopback, reachableAddress } from '../relay-address.ts'

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

/** `aio orchestrators enroll [--name N] [--replace M]`: a code, and the command to type on the other machine. */
export async function enrollOrchestrator(cli: Cli, options: { name?: string; replace?: string }): Promise<void> {
  const { url } = await cli.address()
  const made = await cli.withClient(async (aio) =>
    aio.orchestrators.enroll.mutate({
      name: options.name,
      replaces: options.replace === undefined ? undefined : await machineId(aio, options.replace),
    }),
  )
  const address = reachableAddress(url, cli.config.host)
  const name = options.name === undefined ? '' : `ORCHESTRATOR_NAME=${quoted(options.name)} `
  const command = `${name}npx aio orchestrator --relay ${address} --enroll ${made.code}`
  cli.out.result(
    { ...made, command },
    () => `Type this on the machine, within fifteen minutes; it works once:\n  ${command}`,
  )
  if (isLoopback(address) && !cli.out.isJson)
    cli.out.note(
      'The relay is reached from this machine only. For another one: HOST=0.0.0.0 AUTH_TOKEN=… aio up (behind TLS).',
    )
}

function quoted(text: string): string {
  return /^[\w.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}
