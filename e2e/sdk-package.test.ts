import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { exec } from './harness/platform.ts'
import { startRelayProcess } from './harness/relay-process.ts'
import { ScriptedOrchestrator } from './harness/scripted-orchestrator.ts'

const root = join(import.meta.dirname, '..')

const SCRIPT = `
import { AioError, type AioEvent, type Client, createClient, type Session } from '@ai-orchestration/sdk'

declare const process: { argv: string[] }
const [, , url = '', token = ''] = process.argv

const aio: Client = createClient({ url, token })
const events: AsyncIterableIterator<AioEvent> = aio.events({ sessionId: 'demo_first' })
const session: Session = await aio.sessions.create.mutate({ projectId: 'demo', name: 'first', agent: 'shell' })
let refused: string = ''
try {
  await aio.sessions.get.query({ sessionId: 'demo_none' })
} catch (error) {
  if (error instanceof AioError) refused = error.code
}
await events.return?.()
// @ts-expect-error a project is named by a string
const wrong = () => aio.projects.get.query({ projectId: 1 })
// @ts-expect-error there is no such procedure
const missing = () => aio.projects.destroy.mutate({})
console.log(JSON.stringify({ id: session.id, state: session.state, refused, unused: [typeof wrong, typeof missing] }))
await aio.close()
`

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aio-sdk-package-'))
  await exec('npx', ['-y', 'pnpm@12.21.0', '--dir', join(root, 'packages/sdk'), 'pack', '--pack-destination', folder])
  const tarball = (await readdir(folder)).find((name) => name.endsWith('.tgz'))
  if (tarball === undefined) throw new Error('pnpm pack made no tarball')
  const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  const typescript = JSON.parse(await readFile(join(root, 'node_modules/typescript/package.json'), 'utf8')) as {
    version: string
  }
  expect(devDependencies).toHaveProperty('typescript')
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({
      private: true,
      type: 'module',
      dependencies: { '@ai-orchestration/sdk': `file:./${tarball}`, typescript: typescript.version },
    }),
  )
  const compilerOptions = { strict: true, noEmit: true, skipLibCheck: false, module: 'nodenext', target: 'es2022' }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
  await writeFile(join(folder, 'main.ts'), SCRIPT)
  await exec('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--prefer-offline'])
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

test('the packed SDK brings no code and no types of the server', async () => {
  const dist = join(folder, 'node_modules/@ai-orchestration/sdk/dist')
  const [declarations, code] = await Promise.all([
    readFile(join(dist, 'index.d.ts'), 'utf8'),
    readFile(join(dist, 'index.js'), 'utf8'),
  ])
  expect(declarations).not.toMatch(/@ai-orchestration\/(relay|protocol)|Journal|Services|from "(ws|pino|node:)/)
  expect(code).not.toMatch(/@ai-orchestration\/|initTRPC|createContext|node:sqlite|from "(ws|pino|node:)/)
})

test('it type-checks strictly in an empty project outside the workspace, and wrong calls do not', async () => {
  const tsc = join(folder, 'node_modules/.bin/tsc')
  expect(await exec(tsc, ['-p', folder])).toBe('')
})

test('it runs there against a real relay', async () => {
  await using relay = await startRelayProcess()
  await using machine = new ScriptedOrchestrator(relay)
  await machine.ready()
  const printed = await exec(process.execPath, [join(folder, 'main.ts'), relay.wsUrl, relay.token])
  expect(JSON.parse(printed)).toMatchObject({ id: 'demo_first', state: 'running', refused: 'NOT_FOUND' })
})
