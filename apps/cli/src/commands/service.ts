import { spawn } from 'node:child_process'
import { relayUrl } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { readStdin } from '../stdin.ts'
import { type ServiceName, serviceMain } from '../up/supervised.ts'

/**
 * `aio relay` and `aio orchestrator`: one service in the foreground, configured by its environment.
 *
 * @returns its exit status.
 */
export async function runService(cli: Cli, name: ServiceName, options: { enroll?: string } = {}): Promise<number> {
  const { enroll } = options
  const env = {
    ...process.env,
    ...(cli.flags.relay === undefined ? {} : { RELAY_URL: relayUrl(cli.flags.relay) }),
    // In the environment, which other users cannot read, and not among the arguments, which they can.
    ...(enroll === undefined ? {} : { ENROLL_CODE: enroll === '-' ? (await readStdin()).trim() : enroll }),
  }
  const child = spawn(process.execPath, [serviceMain(name)], { stdio: 'inherit', env })
  // The terminal sends SIGINT to both of us; the service decides, we wait.
  const wait = () => undefined
  const stop = () => void child.kill('SIGTERM')
  process.on('SIGINT', wait)
  process.on('SIGTERM', stop).on('SIGHUP', stop)
  try {
    return await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGTERM' || signal === 'SIGINT' ? 0 : 1)))
    })
  } finally {
    process.off('SIGINT', wait)
    process.off('SIGTERM', stop).off('SIGHUP', stop)
  }
}
