import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Actor,
  AioError,
  describeIssues,
  parseSessionId,
  type Rule,
  type RuleMatch,
  type RuleScope,
  ruleSchema,
} from '@ai-orchestration/protocol'
import { ulid } from 'ulid'
import { z } from 'zod'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import type { Logger } from '../log.ts'

/** What rules need to know of projects. */
export interface ProjectDirectories {
  list(): readonly { id: string }[]
  paths(id: string): { dir: string }
}

const fileSchema = z.strictObject({ version: z.literal(1), rules: z.array(ruleSchema) })

/** Most rules of one project: each is made by a person's answer. */
const RULES_MAX = 1_000

/**
 * Standing answers, kept beside their project in `rules.json`, those of its sessions included. What is not on disk does
 * not hold.
 */
export class Rules {
  readonly #projects: ProjectDirectories
  readonly #now: () => Date
  readonly #rules = new Map<string, readonly Rule[]>()
  #lastWrite: Promise<unknown> = Promise.resolve()

  private constructor(projects: ProjectDirectories, now: () => Date) {
    this.#projects = projects
    this.#now = now
  }

  /** Reads the rules of all projects; a file that is damaged is set aside, and what it allowed is asked again. */
  static async open(options: { projects: ProjectDirectories; log: Logger; now?: () => Date }): Promise<Rules> {
    const { projects, log, now = () => new Date() } = options
    const rules = new Rules(projects, now)
    for (const { id } of projects.list()) rules.#rules.set(id, await readRules(rules.#pathOf(id), log))
    return rules
  }

  /** Rules of one project or of all; with a session, those that hold for it. */
  list(filter: { projectId?: string | undefined; sessionId?: string | undefined } = {}): Rule[] {
    const projectId = filter.projectId ?? projectOf(filter.sessionId)
    const all = projectId === undefined ? [...this.#rules.values()].flat() : this.#of(projectId)
    return all.filter(
      (rule) => filter.sessionId === undefined || rule.sessionId === undefined || rule.sessionId === filter.sessionId,
    )
  }

  /** What a standing answer says, if there is one: a session's own comes before its project's, the latest first. */
  find(sessionId: string, match: RuleMatch): Rule | undefined {
    const fitting = this.list({ sessionId }).filter((rule) => isSame(rule.match, match))
    return fitting.findLast((rule) => rule.sessionId !== undefined) ?? fitting.at(-1)
  }

  /** Adds a rule, or replaces the one of the same reach about the same. @throws AioError LIMIT, and the disk's error. */
  async add(rule: {
    sessionId: string
    scope: RuleScope
    match: RuleMatch
    verdict: Rule['verdict']
    by: Actor
    questionId?: string
  }): Promise<Rule> {
    const { sessionId, scope, match, verdict, by, questionId } = rule
    const projectId = projectOf(sessionId) ?? ''
    const made: Rule = {
      id: ulid(this.#now().getTime()),
      projectId,
      ...(scope === 'session' ? { sessionId } : {}),
      match,
      verdict,
      createdAt: this.#now().toISOString(),
      by,
      ...(questionId === undefined ? {} : { questionId }),
    }
    await this.#change(projectId, (rules) => {
      const others = rules.filter((other) => other.sessionId !== made.sessionId || !isSame(other.match, match))
      if (others.length >= RULES_MAX)
        throw new AioError('LIMIT', `The project ${projectId} has ${RULES_MAX} rules. Revoke some: aio rules list`)
      return [...others, made]
    })
    return made
  }

  /** Takes a rule back; what it answered is asked again from now on. @throws AioError NOT_FOUND. */
  async revoke(projectId: string, ruleId: string): Promise<Rule> {
    const rule = this.#of(projectId).find(({ id }) => id === ruleId)
    if (rule === undefined)
      throw new AioError('NOT_FOUND', `The project ${projectId} has no rule ${ruleId}. See: aio rules list`)
    await this.#change(projectId, (rules) => rules.filter(({ id }) => id !== ruleId))
    return rule
  }

  /** Forgets the rules of a session that is gone. */
  async forgetSession(sessionId: string): Promise<void> {
    const projectId = projectOf(sessionId)
    if (projectId === undefined || !this.#of(projectId).some((rule) => rule.sessionId === sessionId)) return
    await this.#change(projectId, (rules) => rules.filter((rule) => rule.sessionId !== sessionId))
  }

  /** Forgets a project that is gone; its file went with its directory. */
  forgetProject(projectId: string): void {
    this.#rules.delete(projectId)
  }

  #of(projectId: string): readonly Rule[] {
    return this.#rules.get(projectId) ?? []
  }

  // One write after the other, and on disk before it holds.
  async #change(projectId: string, change: (rules: readonly Rule[]) => readonly Rule[]): Promise<void> {
    const write = async () => {
      const rules = change(this.#of(projectId))
      const text = `${JSON.stringify({ version: 1, rules }, undefined, 2)}\n`
      await writeFileDurably(this.#pathOf(projectId), text, 0o600)
      this.#rules.set(projectId, rules)
    }
    const mine = this.#lastWrite.then(write, write)
    this.#lastWrite = mine.catch(() => undefined)
    await mine
  }

  #pathOf(projectId: string): string {
    return join(this.#projects.paths(projectId).dir, 'rules.json')
  }
}

async function readRules(path: string, log: Logger): Promise<Rule[]> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  }
  const parsed = fileSchema.safeParse(parseJson(text))
  if (parsed.success) return parsed.data.rules
  log.error({ path }, `a file of rules is damaged and was set aside: ${describeIssues(parsed.error)}`)
  await rename(path, `${path}.damaged`)
  return []
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function projectOf(sessionId: string | undefined): string | undefined {
  return sessionId === undefined ? undefined : parseSessionId(sessionId)?.projectId
}

function isSame(a: RuleMatch, b: RuleMatch): boolean {
  if (a.kind === 'egress') return b.kind === 'egress' && a.host === b.host && a.port === b.port
  return b.kind === 'tool' && a.tool === b.tool
}
