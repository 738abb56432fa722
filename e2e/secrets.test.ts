import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '@ai-orchestration/sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { exec, makeRepository, type Platform, startPlatform } from './harness/platform.ts'

let platform: Platform
let aio: Client

/** Values that stand nowhere else; the second has what a shell would like to interpret, and ends in line breaks. */
const VALUE = `value-${randomBytes(12).toString('hex')}`
const ODD = `odd-${randomBytes(12).toString('hex')} "$(id)" 'x'\n\n`
const FROM_FILE = `file-${randomBytes(12).toString('hex')}`
const FROM_ENV = `env-${randomBytes(12).toString('hex')}`

beforeAll(async () => {
  platform = await startPlatform({ LOG_LEVEL: 'trace', SHOP_SECRET: FROM_ENV })
  aio = platform.client()
  await aio.projects.create.mutate({ name: 'shop', repoUrl: await makeRepository(platform.home) })
  await aio.projects.create.mutate({ name: 'other' })
})
afterAll(async () => {
  await aio?.close()
  await platform?.[Symbol.asyncDispose]()
})

const start = async (projectId: string, name: string) =>
  await aio.sessions.create.mutate({ projectId, name, agent: 'shell' })
const inside = async (session: string, script: string) => {
  let output = ''
  const exec = aio.exec(session, ['sh', '-c', script])
  for await (const { data } of exec) output += Buffer.from(data).toString('utf8')
  expect(await exec.exit).toBe(0)
  return output
}

/** Files of the platform that hold a text, but for the one it is kept in, and processes whose arguments do. */
async function whereabouts(text: string): Promise<string[]> {
  const kept = join(platform.aioHome, 'secrets')
  const files = await filesWith(text, [platform.home, '/dev/shm'])
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(
    pids.map(async (pid) => await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  // Where the kernel keeps it in memory is no disk.
  return [
    ...files.filter((path) => !path.startsWith(kept) && !path.startsWith(join(platform.aioRun, 'secrets'))),
    ...lines.filter((line) => line.includes(text)),
  ]
}

async function filesWith(text: string, directories: string[]): Promise<string[]> {
  const found: string[] = []
  for (const directory of directories)
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name)
      if (entry.isFile() && (await readFile(path).catch(() => Buffer.of())).includes(text)) found.push(path)
    }
  return found
}

describe('secrets of a project', () => {
  it('are set from stdin and listed by name alone', async () => {
    const set = await platform.aio(['projects', 'secrets', 'set', 'shop', 'API_TOKEN'], { input: `${VALUE}\n` })
    expect(set).toMatchObject({ code: 0 })
    expect(set.stdout + set.stderr).not.toContain(VALUE)
    await aio.projects.secrets.set.mutate({ projectId: 'shop', name: 'ODD', value: ODD })
    const listed = await platform.json('projects', 'secrets', 'list', 'shop')
    expect(listed).toMatchObject([
      { name: 'API_TOKEN', source: 'stored' },
      { name: 'ODD', source: 'stored' },
    ])
    expect(JSON.stringify(listed)).not.toContain('value')
    const refused = await platform.aio(['projects', 'secrets', 'set', 'shop', 'not-a-name'], { input: 'x' })
    expect(refused.code).not.toBe(0)
  })

  it('are in the environment of its sessions’ processes, as they were given', async () => {
    await start('shop', 'one')
    expect(await inside('shop_one', 'printf %s "$API_TOKEN"')).toBe(VALUE)
    expect(await inside('shop_one', 'printf %s "$ODD"')).toBe(ODD)
    // The agent itself, which is another process than those above.
    const agent = await inside(
      'shop_one',
      'for p in /proc/[0-9]*; do tr "\\0" "\\n" <$p/environ; done 2>/dev/null | sort -u',
    )
    expect(agent).toContain(`API_TOKEN=${VALUE}`)
  })

  it('are in no other project’s sessions, and not in the setup', async () => {
    await aio.projects.update.mutate({ projectId: 'other', setup: ['env > environment; ls -a /project > project'] })
    await aio.projects.update.mutate({ projectId: 'shop', setup: ['env > environment; ls -a /project > project'] })
    for (const project of ['other', 'shop']) {
      await start(project, 'two')
      expect(await inside(`${project}_two`, 'cat environment project')).not.toMatch(/API_TOKEN|secrets/)
    }
    expect(await inside('other_two', 'env; ls -a /project')).not.toMatch(/API_TOKEN|secrets/)
    expect(await inside('shop_two', 'printf %s "$API_TOKEN"')).toBe(VALUE)
  })

  it('are nowhere on the disk but where they are stored, in no log, journal, audit, argument or archive', async () => {
    await inside('shop_one', 'touch work')
    await aio.sessions.terminate.mutate({ sessionId: 'shop_one', force: true })
    expect(await filesWith(VALUE, [platform.aioHome])).toEqual([join(platform.aioHome, 'secrets/shop.json')])
    for (const text of [VALUE, ODD.slice(0, 20)]) expect(await whereabouts(text)).toEqual([])
    expect(platform.output()).not.toContain(VALUE)
    expect(await readFile(join(platform.aioHome, 'secrets/shop.json'), 'utf8')).toContain(VALUE)
    const modes = await exec('stat', [
      '-c',
      '%a',
      join(platform.aioHome, 'secrets'),
      join(platform.aioHome, 'secrets/shop.json'),
    ])
    expect(modes).toBe('700\n600\n')
    expect(JSON.stringify(await platform.json('audit', '--limit', '100'))).toContain('projects.secrets.set')
  })

  it('come from a file or variable that project.toml names, when a session starts', async () => {
    const file = join(platform.home, 'shop-secret')
    await writeFile(file, `${FROM_FILE}\n`, { mode: 0o600 })
    const toml = join(platform.projectsDir, 'shop/project.toml')
    const references = `[secrets]\nFROM_FILE = { file = "${file}" }\nFROM_ENV = { env = "SHOP_SECRET" }\nSTOLEN = { env = "AUTH_TOKEN" }\n`
    await writeFile(toml, `${await readFile(toml, 'utf8')}\n${references}`)
    await aio.projects.update.mutate({ projectId: 'shop', title: 'The shop' })
    expect(await platform.json('projects', 'secrets', 'list', 'shop')).toMatchObject([
      { name: 'API_TOKEN', source: 'stored' },
      { name: 'FROM_ENV', source: 'env' },
      { name: 'FROM_FILE', source: 'file' },
      { name: 'ODD' },
      { name: 'STOLEN', source: 'env' },
    ])
    await expect(start('shop', 'bad')).rejects.toThrow(/STOLEN .*may not be used/)
    await writeFile(toml, (await readFile(toml, 'utf8')).replace(/\[secrets\.STOLEN\]\n.*\n/, ''))
    await aio.projects.update.mutate({ projectId: 'shop', title: 'The shop' })
    await start('shop', 'refs')
    expect(await inside('shop_refs', 'printf %s "$FROM_FILE $FROM_ENV"')).toBe(`${FROM_FILE} ${FROM_ENV}`)
  })

  it('end with what they belonged to', async () => {
    await aio.projects.secrets.unset.mutate({ projectId: 'shop', name: 'ODD' })
    await start('shop', 'three')
    expect(await inside('shop_three', 'printenv ODD || printenv API_TOKEN')).toBe(`${VALUE}\n`)
    await aio.projects.secrets.set.mutate({ projectId: 'other', name: 'GONE', value: VALUE })
    await aio.sessions.terminate.mutate({ sessionId: 'other_two', force: true })
    await aio.projects.delete.mutate({ projectId: 'other' })
    await aio.projects.create.mutate({ name: 'other' })
    expect(await aio.projects.secrets.list.query({ projectId: 'other' })).toEqual([])
  })
})
