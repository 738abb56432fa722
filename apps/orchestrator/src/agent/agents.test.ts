import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Agents } from './agents.ts'
import { fill } from './fill.ts'

const log = pino({ level: 'silent' })
const workspace = '/project/p_s'
let aioHome: string

beforeEach(async () => {
  aioHome = await mkdtemp(join(tmpdir(), 'aio-agents-'))
})
afterEach(() => rm(aioHome, { recursive: true, force: true }))

function openAgents(apiKey?: string): Promise<Agents> {
  return Agents.open({ config: { aioHome, gateway: { apiKey, oauthToken: undefined, upstream: 'http://x' } }, log })
}

/** What `install` leaves behind, without 364 MB. */
async function pretendInstalled(): Promise<void> {
  const home = join(aioHome, 'agents/claude/2.1.330')
  await mkdir(home, { recursive: true })
  await mkdir(join(aioHome, 'agents/bin'), { recursive: true })
  await writeFile(join(home, 'claude'), '', { mode: 0o755 })
  await symlink('../claude/2.1.330/claude', join(aioHome, 'agents/bin/claude'))
}

describe('which agent a session gets', () => {
  it('is a shell, with the line that installs Claude Code, while that is missing', async () => {
    const agents = await openAgents('key')
    expect(agents.choose()).toMatchObject({
      agent: 'shell',
      notice: expect.stringContaining('aio agents install claude'),
    })
    expect(agents.list().slice(0, 2)).toMatchObject([
      { id: 'shell', installed: true, ready: true },
      { id: 'claude', installed: false, ready: false },
    ])
  })

  it('is never a part that agents need', async () => {
    const agents = await openAgents('key')
    expect(agents.list().find(({ id }) => id === 'node')).toMatchObject({ isPart: true, installed: false })
    expect(() => agents.choose('node')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })

  it('is a shell while there is no credential, and Claude Code once there is', async () => {
    await pretendInstalled()
    const without = await openAgents()
    expect(without.choose()).toMatchObject({ agent: 'shell', notice: expect.stringContaining('ANTHROPIC_API_KEY') })
    expect(() => without.choose('claude')).toThrow(expect.objectContaining({ code: 'AGENT_NOT_READY' }))
    const agents = await openAgents('key')
    expect(agents.choose()).toEqual({ agent: 'claude' })
    expect(agents.list()[1]).toMatchObject({ id: 'claude', ready: true, version: '2.1.330' })
  })

  it('is the requested one, else that of the project, or nothing when that is not ready', async () => {
    const agents = await openAgents('key')
    expect(agents.choose('shell', 'claude')).toEqual({ agent: 'shell' })
    for (const choose of [() => agents.choose('claude'), () => agents.choose(undefined, 'claude')])
      expect(choose).toThrow(
        expect.objectContaining({
          code: 'AGENT_NOT_READY',
          message: expect.stringContaining('aio agents install claude'),
        }),
      )
    expect(() => agents.choose('nobody')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
  })
})

describe('whether an agent has a chat', () => {
  it('is said of those that have one, and only while all it is made of is there', async () => {
    await writeFile(
      join(aioHome, 'agents.toml'),
      `
      [talker]
      name = "Talker"
      argv = ["sh"]
      [talker.chat]
      argv = ["talk"]
      [needy]
      name = "Needy"
      argv = ["sh"]
      [needy.chat]
      argv = ["talk"]
      requires = ["claude"]
      [pair]
      name = "Pair"
      argv = ["sh"]
      [pair.chat]
      argv = ["talk"]
      requires = ["talker"]
      `,
    )
    const agents = (await openAgents('key')).list()
    const withChat = agents.filter(({ hasChat }) => hasChat === true).map(({ id }) => id)
    for (const id of ['talker', 'pair']) expect(withChat).toContain(id)
    for (const id of ['shell', 'needy']) expect(withChat).not.toContain(id)
  })
})

describe('how an agent is started', () => {
  it('hands a prompt over as one argument that can be no option', async () => {
    const agents = await openAgents()
    const prompt = '--dangerous {key} $(id)\n"x"'
    const { argv, env, gateway } = agents.launch('claude', {
      prompt,
      workspace,
      interface: 'terminal',
      permissions: 'allow',
    })
    expect(argv).toEqual(['claude', '--permission-mode', 'bypassPermissions', '--', prompt])
    expect(env).toMatchObject({ ANTHROPIC_BASE_URL: 'http://127.0.0.1:3128', DISABLE_AUTOUPDATER: '1' })
    expect(gateway).toBe('anthropic')
  })

  it('asks before it acts when isolation is degraded', async () => {
    const agents = await openAgents()
    const { argv } = agents.launch('claude', { workspace, interface: 'terminal', permissions: 'ask' })
    expect(argv).toEqual(['claude', '--permission-mode', 'default'])
  })

  it('never holds the real credential', async () => {
    const agents = await openAgents('sk-real-secret')
    const home = join(aioHome, 'session-home')
    await agents.seedHome('claude', home, { workspace, permissions: 'allow' })
    const seeded = await readFile(join(home, '.claude.json'), 'utf8')
    const launch = JSON.stringify(
      agents.launch('claude', { prompt: 'x', workspace, interface: 'terminal', permissions: 'allow' }),
    )
    expect(launch + seeded).not.toContain('sk-real-secret')
  })

  it('refuses a prompt for a shell, and one that Linux cannot hand over', async () => {
    const agents = await openAgents()
    const launch = (agent: string, prompt: string) => () =>
      agents.launch(agent, { prompt, workspace, interface: 'terminal', permissions: 'allow' })
    expect(launch('shell', 'do it')).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    expect(launch('claude', '漢'.repeat(50_000))).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }))
    expect(launch('shell', '')).not.toThrow()
  })
})

describe('the HOME of a session', () => {
  it('holds what keeps Claude Code from asking', async () => {
    const agents = await openAgents()
    const home = join(aioHome, 'session-home')
    await agents.seedHome('claude', home, { workspace, permissions: 'allow' })
    const state: unknown = JSON.parse(await readFile(join(home, '.claude.json'), 'utf8'))
    const { ANTHROPIC_API_KEY = '' } = agents.launch('claude', {
      workspace,
      interface: 'terminal',
      permissions: 'allow',
    }).env
    expect(state).toMatchObject({
      hasCompletedOnboarding: true,
      customApiKeyResponses: { approved: [ANTHROPIC_API_KEY.slice(-20)] },
      projects: { [workspace]: { hasTrustDialogAccepted: true } },
    })
    expect(JSON.parse(await readFile(join(home, '.claude/settings.json'), 'utf8'))).toMatchObject({
      skipDangerousModePermissionPrompt: true,
    })
    expect((await stat(join(home, '.claude.json'))).mode & 0o777).toBe(0o600)
  })

  it('is never written through what is there already', async () => {
    const agents = await openAgents()
    const home = join(aioHome, 'session-home')
    await mkdir(home)
    await symlink(join(aioHome, 'elsewhere'), join(home, '.claude.json'))
    await expect(agents.seedHome('claude', home, { workspace, permissions: 'allow' })).rejects.toThrow('EEXIST')
  })
})

describe("a person's own agents.toml", () => {
  it('adds agents and replaces shipped ones', async () => {
    await writeFile(
      join(aioHome, 'agents.toml'),
      '[mine]\nname = "Mine"\nargv = ["mine", "{workspace}"]\nprompt = ["{prompt}"]\n[shell]\nname = "Zsh"\nargv = ["zsh"]\n',
    )
    const agents = await openAgents()
    expect(agents.list().map(({ name }) => name)).toEqual([
      'Zsh',
      'Claude Code',
      'Codex',
      'OpenCode',
      "Claude Code's Agent Client Protocol",
      "Codex's Agent Client Protocol",
      'Node.js',
      'Mine',
    ])
    expect(agents.launch('mine', { prompt: 'p', workspace, interface: 'terminal', permissions: 'allow' }).argv).toEqual(
      ['mine', workspace, 'p'],
    )
  })

  it.each([
    ['[mine\n', 'not valid TOML'],
    ['[mine]\nname = "Mine"\n', 'mine.argv'],
    ['[mine]\nname = "Mine"\nargv = ["x"]\nprompt = ["-p"]\n', 'mine.prompt'],
    ['[mine]\nname = "Mine"\nargv = ["x"]\n[mine.seed."../../etc/passwd"]\na = 1\n', 'mine.seed'],
    ['["Not A Slug"]\nname = "Mine"\nargv = ["x"]\n', 'Not A Slug'],
  ])('is refused with the place of the mistake: %j', async (source, place) => {
    await writeFile(join(aioHome, 'agents.toml'), source)
    await expect(openAgents()).rejects.toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(place) })
  })
})

describe('fill', () => {
  it('fills what it knows, once, and nothing that every object has', () => {
    expect(fill('{a} {b} {toString} {{a}}', { a: '{b}', b: 'B' })).toBe('{b} B {toString} {{b}}')
  })
})
