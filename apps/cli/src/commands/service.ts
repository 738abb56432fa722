import { spawn } from 'node:child_process'
import type { Cli } from '../cli.ts'
import { type ServiceName, serviceMain } from '../up/supervised.ts'

/**
 * `aio relay` and `aio orchestrator`: one service in the foreground, configured by its environment.
 *
 * @returns its exit status.
 */
export async function runService(_cli: Cli, name: ServiceName): Promise<number> {
  const child = spawn(process.execPath, [serviceMain(name)], { stdio: 'inherit' })
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
