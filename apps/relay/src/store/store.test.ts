import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DurableLedger } from '../command/durable-ledger.ts'
import { DurableJournal } from '../journal/durable-journal.ts'
import { openDatabase } from './database.ts'
import type { EventRetention } from './messages.ts'
import { MIGRATIONS } from './migrations.ts'
import { seal, unseal } from './sealed-text.ts'
import { Store, type Write } from './store.ts'

const KEEP: EventRetention = { maxEvents: 1_000_000, maxBytes: 2 ** 30, maxAgeMs: 3_600_000 }
const FLIPS = 200
const log = pino({ level: 'silent' })

let home: string
let path: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'aio-store-'))
  path = join(home, 'relay/relay.db')
})
afterEach(() => rm(home, { recursive: true }))

const left = (orchestratorId: string) => ({ type: 'orchestrator_left', orchestratorId, reason: 'timeout' }) as const

async function withJournal<T>(
  work: (journal: DurableJournal, store: Store) => T | Promise<T>,
  options: { retention?: Partial<EventRetention>; now?: () => number } = {},
): Promise<T> {
  const store = await Store.open({ path, retention: { ...KEEP, ...options.retention }, log })
  try {
    return await work(new DurableJournal({ store, ...(options.now === undefined ? {} : { now: options.now }) }), store)
  } finally {
    await store.close()
  }
}

async function append(journal: DurableJournal, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) journal.append(left(`${journal.head}-${i}`))
  await journal.settled()
}

test('epoch and numbers go on over a restart, and what was written before is read from disk (E-1, E-2)', async () => {
  const epoch = await withJournal(async (journal) => {
    await append(journal, 3)
    return journal.epoch
  })
  await withJournal(async (journal) => {
    expect([journal.epoch, journal.head]).toEqual([epoch, 3])
    await append(journal, 2)
    const all = [1, 2, 3, 4, 5].map((seq) => `${epoch}.${seq}`)
    const read: string[] = []
    for (let after = 0; after < 5; ) {
      const page = journal.read(after, 2) ?? []
      read.push(...page.map(({ position }) => position))
      after += page.length
      if (page.length === 0) break
    }
    expect(read).toEqual(all)
    expect(journal.read(5, 10)).toEqual([])
    expect(journal.read(6, 10)).toBeUndefined()
  })
})

test('an event can be read only once it is on stable storage, and then by every connection', async () => {
  await withJournal(async (journal) => {
    journal.append(left('a'))
    expect([journal.head, journal.read(0, 1)]).toEqual([0, []])
    await journal.settled()
    expect(journal.head).toBe(1)
    const other = new DatabaseSync(path, { readOnly: true })
    expect(other.prepare('SELECT count(*) AS n FROM events').get()).toMatchObject({ n: 1 })
    other.close()
  })
})

test.each([
  ['count', { maxEvents: 3 }],
  ['bytes', { maxBytes: 350 }],
])('forgets the oldest by %s and says so, also after a restart', async (_, retention) => {
  await withJournal(
    async (journal) => {
      await append(journal, 600)
      await append(journal, 600)
      expect(journal.read(1_196, 100)).toBeUndefined()
      expect(journal.read(1_197, 100)).toHaveLength(3)
    },
    { retention },
  )
  await withJournal(async (journal) => {
    expect(journal.read(1_196, 100)).toBeUndefined()
    expect(journal.read(1_197, 100)).toHaveLength(3)
  })
})

test('forgets what is too old, but never the number', async () => {
  const longAgo = Date.now() - 2 * KEEP.maxAgeMs
  await withJournal((journal) => append(journal, 5), { now: () => longAgo })
  await withJournal(async (journal) => {
    await append(journal, 1)
    expect(journal.read(4, 10)).toBeUndefined()
    expect(journal.read(5, 10)).toHaveLength(1)
    expect(journal.head).toBe(6)
  })
})

test('a damaged database is set aside, never replayed: a new epoch begins and says why (E-3)', async () => {
  const epoch = await withJournal(async (journal) => {
    await append(journal, 2_000)
    return journal.epoch
  })
  const file = await open(path, 'r+')
  const { size } = await file.stat()
  await file.write(Buffer.alloc(size - 8_192, 0xa5), 0, size - 8_192, 8_192)
  await file.close()
  for (const _ of ['at once', 'and ever after'])
    await withJournal((journal) => {
      expect(journal.epoch).not.toBe(epoch)
      expect(journal.otherEpochReason).toBe('corruption')
      expect(journal.read(0, 10)).toEqual([])
    })
  const aside = (await readdir(join(home, 'relay'))).filter((name) => name.includes('.corrupt-'))
  expect(aside).toHaveLength(1)
  expect((await stat(join(home, 'relay', aside[0] ?? ''))).size).toBe(size)
})

test('one bit that has flipped anywhere in the file is noticed, or nothing of it shows (F-24, E-3)', async () => {
  await withJournal((journal) => append(journal, 500))
  const whole = await readFile(path)
  const readAll = () => {
    const { database, setAside } = openDatabase(path)
    const bodies = database.prepare('SELECT seq, body FROM events ORDER BY seq').all()
    database.close()
    if (setAside !== undefined) return 'set aside'
    const events = bodies.map(({ seq, body }) => [seq, unseal(String(body))])
    return events.some(([, text]) => text === undefined) ? 'damage seen' : JSON.stringify(events)
  }
  const before = readAll()
  const found = { same: 0, 'damage seen': 0, 'set aside': 0 }
  for (let flip = 0; flip < FLIPS; flip += 1) {
    const bytes = Buffer.from(whole)
    const at = Math.floor(((flip + 0.37) / FLIPS) * bytes.length)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (flip % 8))
    for (const suffix of ['-wal', '-shm']) await rm(`${path}${suffix}`, { force: true })
    await writeFile(path, bytes)
    const after = readAll()
    if (after === before) found.same += 1
    else if (after === 'damage seen' || after === 'set aside') found[after] += 1
    else throw new Error(`a bit at ${at} changed what is read, and nobody noticed`)
  }
  expect(found['damage seen']).toBeGreaterThan(0)
  expect(found['set aside']).toBeGreaterThan(0)
})

test('a command whose record is damaged is neither answered nor run again', async () => {
  const commandId = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
  const body = JSON.stringify({ commandId, state: 'succeeded' })
  await withJournal(async (_, store) => {
    const now = Date.now()
    const damaged = seal(body).replace('succeeded', 'succeedee')
    const values = [commandId, new Date(now).toISOString(), now, damaged, null, null, 'n', 0, null, now, 1, 1, 0]
    store.add({ statement: 'acceptCommand', values })
    await store.settled()
  })
  await withJournal((_, store) => {
    const ledger = new DurableLedger({ store })
    expect(() => ledger.get(commandId)).toThrow(/damaged.*not started again/)
    expect([...ledger.newestFirst()]).toEqual([])
  })
})

test('a file that is no database, and one with a hole in its events, are set aside too', async () => {
  await withJournal((journal) => append(journal, 10))
  const database = new DatabaseSync(path)
  database.exec('DELETE FROM events WHERE seq = 5')
  database.close()
  await withJournal((journal) => expect([journal.otherEpochReason, journal.head]).toEqual(['corruption', 0]))
  const file = await open(path, 'w')
  await file.writeFile('this is not a database at all, and long enough to be looked at by someone who wants to know')
  await file.close()
  await withJournal((journal) => expect(journal.otherEpochReason).toBe('corruption'))
})

test('a database of a newer relay is refused and left as it is', async () => {
  await withJournal((journal) => append(journal, 1))
  const database = new DatabaseSync(path)
  database.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`)
  database.close()
  await expect(Store.open({ path, retention: KEEP, log })).rejects.toMatchObject({
    code: 'UPGRADE_REQUIRED',
    message: expect.stringMatching(/newer relay.*Update/),
  })
  expect(await readdir(join(home, 'relay'))).not.toContainEqual(expect.stringContaining('corrupt'))
})

test('a second relay is kept out, and files are private', async () => {
  await withJournal(async () => {
    await expect(Store.open({ path, retention: KEEP, log })).rejects.toMatchObject({ code: 'CONFLICT' })
    for (const name of ['relay.db', 'relay.db-wal', 'relay.db-shm'])
      expect([name, (await stat(join(home, 'relay', name))).mode & 0o777]).toEqual([name, 0o600])
  })
})

test('the audit cannot be rewritten', async () => {
  await withJournal(async (_, store) => {
    store.add({ statement: 'beginAudit', values: [1, 1, 't', 'n', 'tokens.create', null, '::1'] })
    await store.settled()
  })
  const database = new DatabaseSync(path)
  expect(() => database.exec("UPDATE audit SET by_name = 'other'")).toThrow(/append-only/)
  database.close()
})

test('ended commands are kept for the seven days of C-3, and forgotten some time after', async () => {
  const day = 24 * 3_600_000
  const command = (id: string, daysAgo: number, isOver: boolean): Write => {
    const at = Date.now() - daysAgo * day
    const values = [id, new Date(at).toISOString(), isOver ? at : null, '{}', null, null, 'n', 0, null, at, 1, 1, 0]
    return { statement: 'acceptCommand', values }
  }
  await withJournal(async (_, store) => {
    for (const write of [command('old', 9, true), command('open', 9, false), command('new', 7.5, true)])
      store.add(write)
    await store.settled()
  })
  await withJournal(async (_, store) => {
    const ids = () => store.rows('SELECT id FROM commands ORDER BY id').map((row) => row['id'])
    await expect.poll(ids).toEqual(['new', 'open'])
  })
})
