#!/usr/bin/env node
// Plain JavaScript that any Node can read: finds Node 24, then hands over to src/main.ts.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))

if (Number.parseInt(process.versions.node, 10) >= 24) {
  module.enableCompileCache?.()
  await import('../src/main.ts')
} else {
  const node = findNode()
  if (node === undefined) {
    console.error(
      `aio needs Node 24 or newer, and this is ${process.versions.node}. Run \`npm start\` once in the clone (it brings its own), or install Node 24.`,
    )
    process.exit(1)
  }
  runWith(node)
}

// The `node` package of the workspace root, or of any folder above this one.
function findNode() {
  for (let folder = here; ; folder = dirname(folder)) {
    for (const path of ['node_modules/.bin/node', 'node_modules/node/bin/node']) {
      if (existsSync(join(folder, path))) return join(folder, path)
    }
    if (dirname(folder) === folder) return undefined
  }
}

function runWith(node) {
  const child = spawn(node, [join(here, 'aio.js'), ...process.argv.slice(2)], { stdio: 'inherit' })
  // The terminal sends SIGINT to both; what to do about it is the child's decision.
  process.on('SIGINT', () => undefined)
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`aio could not start ${node}: ${error.message}`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
