import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { PackageHosts } from './package-hosts.ts'

const log = pino({ level: 'silent' })
const path = process.env['PATH']
let bin: string

// Programs that say what npm and pip would, so that no host of a real one stands here.
beforeEach(async () => {
  bin = await mkdtemp(join(tmpdir(), 'aio-bin-'))
  process.env['PATH'] = `${bin}:${path}`
})
afterEach(async () => {
  process.env['PATH'] = path
  await rm(bin, { recursive: true, force: true })
})

async function program(name: string, script: string): Promise<void> {
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`)
  await chmod(join(bin, name), 0o755)
}
const host = (name: string, port: number) => ({ host: name, isSuffix: false, port })

it('reads the hosts of npm and of its scopes', async () => {
  await program(
    'npm',
    `case "$*" in "config get registry") echo https://npm.example/path/;; *) echo '{"@a:registry":"http://scope.example:8080/"}';; esac`,
  )
  expect(await new PackageHosts({ log }).of('npm', {})).toEqual([host('npm.example', 443), host('scope.example', 8080)])
})

it("reads pip's index where one is configured, else pip's own default", async () => {
  await program('pip', `echo "global.index-url='https://pip.example/simple'"`)
  await program('python3', 'echo https://default.example https://files.example')
  expect(await new PackageHosts({ log }).of('pypi', {})).toEqual([host('pip.example', 443)])
  await program('pip', 'true')
  expect(await new PackageHosts({ log }).of('pypi', {})).toEqual([
    host('default.example', 443),
    host('files.example', 443),
  ])
})

it("takes the project's own repository for git, when it is reached by https, and nothing for what is missing", async () => {
  const hosts = new PackageHosts({ log })
  expect(await hosts.of('git', { repoUrl: 'https://git.example/a/b.git' })).toEqual([host('git.example', 443)])
  expect(await hosts.of('git', { repoUrl: 'git@git.example:a/b.git' })).toEqual([])
  expect(await hosts.of('git', {})).toEqual([])
  await program('npm', 'exit 1')
  expect(await hosts.of('npm', {})).toEqual([])
})

it("reads the machine's package sources", async () => {
  const found = await new PackageHosts({ log }).of('debian', {})
  expect(found.length).toBeGreaterThan(0)
})
