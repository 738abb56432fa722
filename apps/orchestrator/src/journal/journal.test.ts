import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ulid } from 'ulid'
import { afterEach, describe, expect, it } from 'vitest'
import { createLogger } from '../log.ts'
import { run } from '../process/run.ts'
import { Journal } from './journal.ts'
import { JournalDatabase } from './journal-database.ts'
import type { CommandFacts, FinalEvent, OutboxItem } from './journal-format.ts'

const log = createLogger('silent')
const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal[Symbol.asyncDispose]()
})

async function newPath(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'aio-journal-')), 'journal.db')
}
async function openJournal(path: string): Promise<Journal> {
  const journal = await Journal.open({ path, log })
  opened.push(journal)
  return journal
}
const facts = (commandId = ulid()): CommandFacts => ({
  commandId,
  command: 'create_session',
  projectId: 'p',
  sessionId: 'p_s',
})
const ended = ({ commandId, command }: CommandFacts): FinalEvent => ({
  type: 'command_result',
  commandId,
  command,
  output: { answer: 'ü' },
})
const item = (seq: number): OutboxItem => ({ seq, kind: 'state', text: '{}', lost: 0 })

describe('Journal', () => {
  it('knows after a crash what was started, how far it was, and how others ended', async () => {
    const path = await newPath()
    const [done, cut] = [facts(), facts()]
    const journal = await openJournal(path)
    expect([await journal.start(done), await journal.start(cut)]).toEqual([true, true])
    journal.step(cut.commandId, { name: 'Record', state: 'running' })
    journal.step(cut.commandId, { name: 'Record', state: 'done' })
    journal.step(cut.commandId, { name: 'Base', state: 'running' })
    journal.finish(done, ended(done))
    await journal.put(item(1))

    const next = await openJournal(path)
    expect(next.unfinished).toEqual([
      {
        ...cut,
        steps: [
          { name: 'Record', state: 'done' },
          { name: 'Base', state: 'running' },
        ],
      },
    ])
    expect(await next.find(done.commandId)).toEqual(ended(done))
    expect(await next.find(cut.commandId)).toBeUndefined()
    expect(next.content.recent).toEqual([{ commandId: done.commandId, state: 'succeeded' }])
    expect(next.content.items).toEqual([item(1)])
  })

  it('lets no command be started twice, and the first end stands', async () => {
    const path = await newPath()
    const journal = await openJournal(path)
    const command = facts()
    expect(await journal.start(command)).toBe(true)
    expect(await (await openJournal(path)).start(command)).toBe(false)
    journal.finish(command, ended(command))
    journal.finish(command, { type: 'command_result', ...command, projectId: 'p', sessionId: 'p_s', output: 'other' })
    expect(await journal.find(command.commandId)).toEqual(ended(command))
  })

  it('does not write what was taken before it was written', async () => {
    const path = await newPath()
    const journal = await openJournal(path)
    void journal.put({ ...item(1), kind: 'progress' })
    journal.taken(1)
    await journal[Symbol.asyncDispose]()
    expect((await openJournal(path)).content.items).toEqual([])
  })

  it('writes everything that waits when it is closed', async () => {
    const path = await newPath()
    const journal = await Journal.open({ path, log })
    void journal.put({ ...item(1), kind: 'progress' })
    await journal[Symbol.asyncDispose]()
    expect((await openJournal(path)).content.items).toHaveLength(1)
  })

  it('refuses a database of a newer release and leaves it as it is', async () => {
    const path = await newPath()
    new DatabaseSync(path).exec('PRAGMA user_version = 999')
    await expect(openJournal(path)).rejects.toMatchObject({ code: 'UPGRADE_REQUIRED' })
    expect(await readdir(join(path, '..'))).toEqual(['journal.db'])
  })

  it.each([
    ['is not a database', async (path: string) => await writeFile(path, 'rubbish '.repeat(1_000))],
    ['has a page overwritten', overwriteAPage],
    ['is cut short', async (path: string) => await truncate(path, 3 * 4_096)],
  ])('sets one aside that %s, says so, and is unsure of what ran before', async (_name, damage) => {
    const path = await newPath()
    const journal = await Journal.open({ path, log })
    const before = Date.now()
    for (let count = 0; count < 50; count += 1) await journal.put({ ...item(count + 1), text: 'x'.repeat(2_000) })
    await journal[Symbol.asyncDispose]()
    await damage(path)
    const next = await openJournal(path)
    const { setAside, unsureBefore, items, outboxId } = next.content
    expect(await stat(setAside?.path ?? '')).toBeDefined()
    expect(unsureBefore).toBeGreaterThanOrEqual(before)
    expect(items).toEqual([])
    expect(outboxId).not.toBe(journal.content.outboxId)
    await next[Symbol.asyncDispose]()
    const { content } = await openJournal(path)
    expect([content.unsureBefore, content.setAside]).toEqual([unsureBefore, undefined])
  })

  it('forgets old commands, and neither the newest nor those that have not ended', async () => {
    const database = JournalDatabase.open(await newPath(), 0)
    const commands = [1, 2, 3, 4].map((at) => ({ facts: facts(), at }))
    for (const { facts, at } of commands)
      database.apply([{ type: 'finish', facts, at, state: 'succeeded', final: JSON.stringify(ended(facts)) }])
    const open = facts()
    database.apply([{ type: 'start', facts: open, at: 0 }])
    database.apply([{ type: 'forget', before: 4, keep: 2 }])
    const known = commands.map(
      ({ facts }) => database.apply([{ type: 'find', commandId: facts.commandId }])[0] !== undefined,
    )
    expect(known).toEqual([false, false, true, true])
    expect(database.apply([{ type: 'start', facts: open, at: 0 }])).toEqual(['known'])
    database.close()
  })

  it('starts nothing on a full disk, writes how what ran has ended, and starts again when there is room (D-5)', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'aio-full-'))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir])
    try {
      const path = join(dir, 'journal.db')
      const journal = await Journal.open({ path, log })
      const running = facts()
      await journal.start(running)
      await writeFile(join(dir, 'ballast'), Buffer.alloc(32 * 1024 * 1024)).catch(() => undefined)
      // Whatever room the log still has is used up.
      let refused: unknown
      for (let count = 0; count < 300 && refused === undefined; count += 1)
        await journal.start({ ...facts(), sessionId: 'x'.repeat(4_000) }).catch((error: unknown) => {
          refused = error
        })
      expect(refused).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('nothing was started') })
      journal.finish(running, ended(running))
      // It is on the full disk: another one that opens the file finds it there.
      const database = new DatabaseSync(path, { readOnly: true })
      const endOf = () => database.prepare('SELECT final FROM commands WHERE command_id = ?').get(running.commandId)
      await expect.poll(endOf, { timeout: 20_000 }).toEqual({ final: JSON.stringify(ended(running)) })
      database.close()
      await expect(journal.start(facts())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      await rm(join(dir, 'ballast'))
      await expect.poll(async () => await journal.start(facts()).catch(() => 'refused'), { timeout: 20_000 }).toBe(true)
      expect((await stat(`${path}.reserve`)).size).toBe(8 * 1024 * 1024)
      await journal[Symbol.asyncDispose]()
    } finally {
      await run('umount', ['-l', dir])
      await rm(dir, { recursive: true, force: true })
    }
  })
})

async function overwriteAPage(path: string): Promise<void> {
  const { length } = await readFile(path)
  const file = await open(path, 'r+')
  for (let page = 2; page * 4_096 < length - 4_096; page += 1)
    await file.write(Buffer.alloc(4_096, 0xa5), 0, 4_096, page * 4_096)
  await file.close()
}

async function truncate(path: string, length: number): Promise<void> {
  const file = await open(path, 'r+')
  await file.truncate(length)
  await file.close()
}
