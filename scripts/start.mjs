// `npm start`: sets up what is missing, then runs relay, orchestrator and web app on this machine until Ctrl-C.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { node, root, SetupError, setUp, withNode24 } from './setup.mjs'

try {
  await setUp()
  const child = spawn(node, [join(root, 'apps/cli/bin/aio.js'), 'up', ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
    env: withNode24(),
  })
  // Ctrl-C reaches the whole process group; a signal to this process alone is passed on.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  process.on('SIGHUP', () => child.kill('SIGTERM'))
  child.on('close', (code, signal) => process.exit(signal === null ? (code ?? 1) : 0))
} catch (error) {
  console.error(error instanceof SetupError ? error.message : error)
  process.exit(1)
}
