import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { EXIT } from '../exit-code.ts'
import { isLoopback, reachableAddress, readIfPresent, runningRelay, webAddress } from '../relay-address.ts'
import { LogFile } from '../up/log-file.ts'
import { readableLogLine } from '../up/log-line.ts'
import { type ServiceName, Supervised } from '../up/supervised.ts'
import { qrCode } from './login.ts'

/** How often we look whether the services are there, in milliseconds. */
const LOOK_MS = 50

/** How long the services may take to be ready, in milliseconds. */
const READY_MS = 60_000

/**
 * `aio up`: relay and orchestrator in the foreground, started again when one dies. Ctrl-C stops both and leaves the
 * agent sessions running.
 *
 * @returns 0 after Ctrl-C or SIGTERM, 1 when the services do not come up.
 */
export async function up(cli: Cli): Promise<number> {
  const stopping = new AbortController()
  const services: Supervised[] = []
  const stop = () => {
    if (stopping.signal.aborted) for (const service of services) service.hurry()
    else stopping.abort()
  }
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop)
  const env = { ...process.env }
  const { signal } = stopping
  const relay = supervise(cli, 'relay', { env, signal })
  services.push(relay)
  try {
    relay.start()
    const url = await ready(relay, signal, () => relayOf(cli, relay))
    // When the port was picked, the relay comes back on the same one, where everybody looks for it.
    env['PORT'] = new URL(url).port
    const orchestrator = supervise(cli, 'orchestrator', {
      env: { ...env, RELAY_URL: cli.config.relayUrl ?? url },
      signal,
    })
    services.push(orchestrator)
    orchestrator.start()
    await ready(orchestrator, signal, () => hasOrchestrator(url))
    await sayReady(cli, url)
    await stopped(signal)
  } catch (thrown) {
    if (!signal.aborted) throw thrown
  } finally {
    if (services.length > 1 && !cli.out.isJson)
      cli.out.note(
        'Stopping relay and orchestrator, a few seconds at most; sessions go on. Ctrl-C again stops at once.',
      )
    // Together: the relay waits for the calls under way, whose answers come from the orchestrator.
    await Promise.all(services.map((service) => service.stop()))
  }
  return EXIT.done
}

function supervise(
  cli: Cli,
  name: ServiceName,
  { env, signal }: { env: Record<string, string | undefined>; signal: AbortSignal },
): Supervised {
  const log = new LogFile(join(cli.config.aioHome, 'logs', `${name}.log`))
  return new Supervised(name, env, {
    line: (line) => {
      log.write(line)
      const shown = readableLogLine(line)
      // What services say while they are being stopped is in the log only.
      if (shown === undefined || signal.aborted) return
      cli.out.note(`${cli.out.colour(shown.isError ? 'red' : 'yellow', name, process.stderr)} ${shown.text}`)
    },
    restarting: (how, inMs) =>
      cli.out.note(`The ${name} ${how}; starting it again in ${inMs / 1_000} s. Its log: ${log.path}`),
  })
}

/** Waits until `look` finds something. @throws AioError when the service keeps dying or takes too long. */
async function ready<T>(service: Supervised, signal: AbortSignal, look: () => Promise<T | undefined>): Promise<T> {
  const until = performance.now() + READY_MS
  for (;;) {
    const found = await look()
    if (found !== undefined) {
      service.markReady()
      return found
    }
    if (service.hasGivenUp)
      throw new AioError('EXEC_ERROR', `The ${service.name} cannot start; what it said above is why.`)
    if (performance.now() > until)
      throw new AioError(
        'TIMEOUT',
        `The ${service.name} was not ready within ${READY_MS / 1_000} seconds. Try: aio doctor`,
      )
    await sleep(LOOK_MS, undefined, { signal })
  }
}

/** The relay's WebSocket URL, once the file of the running relay is that of our child and it answers. */
async function relayOf(cli: Cli, relay: Supervised): Promise<string | undefined> {
  const file = await runningRelay(cli.config)
  if (file === undefined || file.pid !== relay.pid) return undefined
  const url = file.url.replace(/^http/, 'ws').replace(/\/?(?:ws)?$/, '/ws')
  return (await health(url)) === undefined ? undefined : url
}

async function hasOrchestrator(url: string): Promise<true | undefined> {
  const answer = await health(url)
  return answer !== undefined && answer.orchestrators >= 1 ? true : undefined
}

async function health(url: string): Promise<{ orchestrators: number } | undefined> {
  try {
    const answer = await fetch(`${webAddress(url)}/health`, { signal: AbortSignal.timeout(2_000) })
    const value: unknown = await answer.json()
    if (typeof value !== 'object' || value === null || !('orchestrators' in value)) return undefined
    return { orchestrators: Number(value.orchestrators) }
  } catch {
    // Not there yet; the caller decides how long to look.
    return undefined
  }
}

async function sayReady(cli: Cli, url: string): Promise<void> {
  const token = cli.config.token ?? (await readIfPresent(join(cli.config.aioHome, 'token')))?.trim()
  await using aio = createClient({ url, token })
  const { code } = await aio.auth.createCode.mutate()
  const address = reachableAddress(url, cli.config.host)
  const isOpen = !isLoopback(address)
  const link = `${address}/login#code=${code}`
  const picture = isOpen && process.stdout.isTTY === true ? await qrCode(link) : undefined
  cli.out.result({ url: link }, () =>
    [
      '',
      `${cli.out.colour('bold', 'AI Orchestration is ready.')} Open this link (it works once, within five minutes):`,
      '',
      `  ${cli.out.colour('cyan', link)}`,
      ...(picture === undefined ? [] : ['', picture]),
      '',
      'Another link: npx aio login. A session from here:',
      '  npx aio projects create demo && npx aio sessions create demo first --agent shell && npx aio sessions attach demo_first',
      ...(isOpen ? [] : ['For a phone or another machine: HOST=0.0.0.0 AUTH_TOKEN=… npm start, behind TLS.']),
      `Logs: ${join(cli.config.aioHome, 'logs')}. Ctrl-C stops the services and leaves sessions running.`,
    ].join('\n'),
  )
}

function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
