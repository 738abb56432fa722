import { AioError, describeIssues, VERSION } from '@ai-orchestration/protocol'
import type { Logger } from 'pino'
import { z } from 'zod'
import { loadConfig } from './config.ts'
import { createLogger } from './log.ts'
import { type Relay, startRelay } from './relay.ts'
import { RelayFile } from './relay-file.ts'

const EXIT_FAILED = 1
const EXIT_USAGE = 2

async function main(): Promise<void> {
  const config = loadConfig()
  const log = createLogger(config.logLevel)
  const file = new RelayFile(config.aioHome)
  await file.refuseSecond()
  const relay = await startRelay(config, log)
  await file.write(relay.url)
  stopOnSignals(relay, file, log, config.isSupervised)
  log.info({ url: relay.url, version: VERSION }, 'the relay is listening')
  // The one line on stdout, for whoever started us.
  process.stdout.write(`${JSON.stringify({ event: 'ready', url: relay.url, pid: process.pid, version: VERSION })}\n`)
}

function stopOnSignals(relay: Relay, file: RelayFile, log: Logger, isSupervised: boolean): void {
  let isStopping = false
  const stop = async (why: string) => {
    log.info({ why }, 'the relay is stopping: it takes nothing new and lets calls that are under way end')
    await file.remove()
    await relay.close()
    log.info('the relay has stopped')
    process.exit(0)
  }
  const begin = (why: string) => {
    if (isStopping) return
    isStopping = true
    stop(why).catch((error: unknown) => {
      log.error({ err: error }, 'the relay could not stop in order')
      process.exit(EXIT_FAILED)
    })
  }
  const onSignal = (signal: NodeJS.Signals) => {
    if (!isStopping) return begin(signal)
    // What was promised is on disk already; only calls under way are cut off.
    log.warn({ signal }, 'the relay was told twice to stop: it ends at once')
    process.exit(EXIT_FAILED)
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  if (!isSupervised) return
  process.stdin.on('end', () => begin('the parent has gone'))
  process.stdin.on('error', () => begin('the parent has gone'))
  process.stdin.resume()
}

function explainAndExit(error: unknown): void {
  const isConfig = error instanceof z.ZodError
  const message = isConfig
    ? `The configuration is not valid. ${describeIssues(error)}`
    : error instanceof AioError
      ? error.message
      : `The relay could not start: ${error instanceof Error ? error.message : String(error)}`
  process.stderr.write(`${message}\n`)
  process.exitCode = isConfig ? EXIT_USAGE : EXIT_FAILED
}

main().catch(explainAndExit)
