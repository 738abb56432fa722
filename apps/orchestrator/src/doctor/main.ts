import { toAioError } from '@ai-orchestration/protocol'
import { loadConfig } from '../config.ts'
import { createLogger } from '../log.ts'
import { checkMachine } from './checks.ts'

// Run as a process by `aio doctor`: one JSON value on stdout.
try {
  const checks = await checkMachine(loadConfig(process.env), createLogger('silent'))
  process.stdout.write(`${JSON.stringify({ checks })}\n`)
} catch (error) {
  process.stdout.write(
    `${JSON.stringify({ checks: [{ name: 'settings', ok: false, message: toAioError(error).message }] })}\n`,
  )
}
