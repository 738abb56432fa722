import { existsSync, renameSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import {
  AioError,
  type CommandState,
  commandStateSchema,
  type Question,
  questionSchema,
  stepSchema,
} from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { z } from 'zod'
import type { CommandFacts, JournalContent, JournalOp, OutboxItem, Unfinished } from './journal-format.ts'
import { migrate } from './migrations.ts'
import { SEQ_BLOCK } from './seq-block.ts'

/** So many commands that ended last are told to the relay at a registration: about 120 KiB of its 1 MiB message. */
const RECENT = 2_000

/** So many questions that wait no more are kept. */
const SETTLED_QUESTIONS = 50

const itemSchema = z.object({
  seq: z.number(),
  kind: z.enum(['progress', 'state', 'final']),
  text: z.string(),
  lost: z.number(),
})
const unfinishedSchema = z.object({
  command_id: z.string(),
  command: z.string(),
  project_id: z.string().nullable(),
  session_id: z.string().nullable(),
})
const stepRowSchema = stepSchema.pick({ name: true, state: true })
const recentSchema = z.object({ command_id: z.string(), state: commandStateSchema })

/**
 * The orchestrator's journal on disk: which commands were started and how they ended, and the events that the relay has
 * not taken. Used by the journal's thread only, since every commit waits for the disk.
 */
export class JournalDatabase {
  readonly #database: DatabaseSync
  readonly #statements: ReturnType<typeof prepare>
  readonly content: JournalContent

  /**
   * Opens the journal or makes one. One that is damaged is put aside, never repaired by guess: from then on the journal
   * cannot know what ran before, and {@link JournalContent.unsureBefore} says so.
   *
   * @throws AioError UPGRADE_REQUIRED when a newer release has written it.
   */
  static open(path: string, now: number): JournalDatabase {
    try {
      return new JournalDatabase(openChecked(path), path, { now, setAside: undefined })
    } catch (error) {
      const reason = damageOf(error)
      if (reason === undefined) throw error
      const aside = `${path}.damaged-${new Date(now).toISOString().replaceAll(/[:.]/g, '')}`
      for (const suffix of ['', '-wal', '-shm'])
        if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`)
      return new JournalDatabase(openChecked(path), path, { now, setAside: { path: aside, reason } })
    }
  }

  private constructor(
    database: DatabaseSync,
    path: string,
    { now, setAside }: { now: number; setAside: JournalContent['setAside'] },
  ) {
    this.#database = database
    try {
      migrate(database, path)
      this.#statements = prepare(database)
      if (setAside !== undefined) this.#statements.setFact.run('unsure_before', String(now))
      this.content = { ...this.#read(), setAside }
    } catch (error) {
      database.close()
      throw error
    }
  }

  /** Makes changes in one transaction, which is on the disk when this returns. @returns one answer per change. */
  apply(ops: readonly JournalOp[]): (string | undefined)[] {
    this.#database.exec('BEGIN')
    try {
      const results = ops.map((op) => this.#apply(op))
      this.#database.exec('COMMIT')
      return results
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      throw error
    }
  }

  /** Closes it; what is committed stays. */
  close(): void {
    this.#database.close()
  }

  #apply(op: JournalOp): string | undefined {
    const sql = this.#statements
    switch (op.type) {
      case 'find': {
        const final = sql.find.get(op.commandId)?.['final']
        return typeof final === 'string' ? final : undefined
      }
      case 'start':
        return Number(sql.start.run(...columns(op.facts), 'running', op.at).changes) === 0 ? 'known' : undefined
      case 'step':
        sql.step.run(op.commandId, op.name, op.state)
        return undefined
      case 'finish':
        sql.finish.run(...columns(op.facts), op.state, op.at, op.final)
        sql.forgetSteps.run(op.facts.commandId)
        return undefined
      case 'put':
        sql.put.run(op.item.seq, op.item.kind, op.item.text, op.item.lost)
        return undefined
      case 'taken':
        sql.taken.run(op.upTo)
        return undefined
      case 'drop':
        for (const seq of op.seqs) sql.drop.run(seq)
        for (const { seq, lost } of op.marks) sql.mark.run(lost, seq)
        return undefined
      case 'reserve':
        sql.setFact.run('reserved', String(op.upTo))
        return undefined
      case 'question':
        sql.putQuestion.run(op.question.id, Number(op.question.state === 'pending'), JSON.stringify(op.question))
        sql.forgetQuestions.run(SETTLED_QUESTIONS)
        return undefined
      case 'forget':
        sql.forget.run(op.before, op.keep)
        return undefined
      default:
        return op satisfies never
    }
  }

  #read(): Omit<JournalContent, 'setAside'> {
    const sql = this.#statements
    const outboxId = this.#fact('outbox_id') ?? ulid()
    const used = Number(this.#fact('reserved') ?? 0)
    sql.setFact.run('outbox_id', outboxId)
    sql.setFact.run('reserved', String(used + SEQ_BLOCK))
    const unsure = this.#fact('unsure_before')
    return {
      outboxId,
      seqs: { first: used + 1, last: used + SEQ_BLOCK },
      items: sql.items.all().map((row): OutboxItem => itemSchema.parse(row)),
      unfinished: sql.unfinished.all().map((row) => this.#unfinished(row)),
      recent: sql.recent.all(RECENT).map((row): { commandId: string; state: CommandState } => {
        const { command_id: commandId, state } = recentSchema.parse(row)
        return { commandId, state }
      }),
      questions: this.#questions(),
      unsureBefore: unsure === undefined ? undefined : Number(unsure),
    }
  }

  // One that another release wrote and this one does not understand is left alone; the session asks again.
  #questions(): Question[] {
    return this.#statements.questions.all().flatMap((row) => {
      const { success, data } = questionSchema.safeParse(JSON.parse(String(row['body'])))
      return success ? [data] : []
    })
  }

  #unfinished(row: unknown): Unfinished {
    const { command_id: commandId, command, project_id: projectId, session_id: sessionId } = unfinishedSchema.parse(row)
    return {
      commandId,
      command,
      projectId: projectId ?? undefined,
      sessionId: sessionId ?? undefined,
      steps: this.#statements.steps.all(commandId).map((step) => stepRowSchema.parse(step)),
    }
  }

  #fact(name: string): string | undefined {
    const value = this.#statements.fact.get(name)?.['value']
    return typeof value === 'string' ? value : undefined
  }
}

function prepare(database: DatabaseSync) {
  const sql = (text: string): StatementSync => database.prepare(text)
  return {
    fact: sql('SELECT value FROM facts WHERE name = ?'),
    setFact: sql('INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value'),
    find: sql('SELECT final FROM commands WHERE command_id = ?'),
    start: sql(
      `INSERT INTO commands (command_id, command, project_id, session_id, state, changed_at) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (command_id) DO NOTHING`,
    ),
    step: sql('INSERT INTO steps VALUES (?, ?, ?) ON CONFLICT (command_id, name) DO UPDATE SET state = excluded.state'),
    // What was once said of a command's end stands.
    finish: sql(
      `INSERT INTO commands (command_id, command, project_id, session_id, state, changed_at, final) VALUES (?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (command_id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at, final = excluded.final
       WHERE final IS NULL`,
    ),
    steps: sql('SELECT name, state FROM steps WHERE command_id = ? ORDER BY rowid'),
    forgetSteps: sql('DELETE FROM steps WHERE command_id = ?'),
    unfinished: sql('SELECT * FROM commands WHERE final IS NULL ORDER BY changed_at, rowid'),
    recent: sql(
      'SELECT command_id, state FROM commands WHERE final IS NOT NULL ORDER BY changed_at DESC, rowid DESC LIMIT ?',
    ),
    questions: sql('SELECT body FROM questions ORDER BY id'),
    // What is settled stays so.
    putQuestion: sql(
      `INSERT INTO questions VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET is_pending = excluded.is_pending, body = excluded.body
       WHERE is_pending = 1`,
    ),
    forgetQuestions: sql(
      `DELETE FROM questions WHERE is_pending = 0 AND id NOT IN
       (SELECT id FROM questions WHERE is_pending = 0 ORDER BY id DESC LIMIT ?)`,
    ),
    items: sql('SELECT seq, kind, text, lost FROM outbox ORDER BY seq'),
    put: sql('INSERT INTO outbox VALUES (?, ?, ?, ?)'),
    taken: sql('DELETE FROM outbox WHERE seq <= ?'),
    drop: sql('DELETE FROM outbox WHERE seq = ?'),
    mark: sql('UPDATE outbox SET lost = ? WHERE seq = ?'),
    // The newest are kept whatever their age: a clock that jumps must not make the journal forget.
    forget: sql(
      `DELETE FROM commands WHERE final IS NOT NULL AND changed_at < ? AND changed_at <
       (SELECT min(changed_at) FROM (SELECT changed_at FROM commands WHERE final IS NOT NULL ORDER BY changed_at DESC LIMIT ?))`,
    ),
  }
}

function openChecked(path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  try {
    // FULL syncs the log at every commit: what was answered for survives a loss of power (C-2).
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    const finding = database.prepare('PRAGMA quick_check(1)').get()?.['quick_check']
    if (finding !== 'ok') throw new AioError('INTERNAL', `${finding}`, { details: { isDamage: true } })
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

/** What is wrong with a database that cannot be used; `undefined` when the error is about something else. */
function damageOf(error: unknown): string | undefined {
  if (error instanceof AioError) return error.details?.['isDamage'] === true ? error.message : undefined
  if (error instanceof z.ZodError) return 'a row is not as this release writes it'
  if (!(error instanceof Error) || !('errcode' in error)) return undefined
  // SQLITE_CORRUPT and SQLITE_NOTADB, with their extended codes.
  return [11, 26].includes(Number(error.errcode) & 0xff) ? error.message : undefined
}

/** Tells whether something could not be written for want of space (SQLITE_FULL). */
export function isFull(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === 13
}

function columns(facts: CommandFacts): [string, string, string | null, string | null] {
  return [facts.commandId, facts.command, facts.projectId ?? null, facts.sessionId ?? null]
}
