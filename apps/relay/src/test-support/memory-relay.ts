// A relay that keeps nothing on disk but tokens, as a process of its own: what benches compare the real one with.
import { pino } from 'pino'
import { loadConfig } from '../config.ts'
import { startRelay } from '../relay.ts'

const config = loadConfig()
const relay = await startRelay(config, pino({ level: config.logLevel }, process.stderr), { inMemory: true })
process.on('SIGTERM', () => {
  relay.close().then(
    () => process.exit(0),
    () => process.exit(1),
  )
})
process.stdout.write(`${JSON.stringify({ event: 'ready', url: relay.url })}\n`)
