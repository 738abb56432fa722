import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import { pathExists } from '../disk/path-exists.ts'
import type { FinalEvent, Unfinished } from '../journal/journal-format.ts'
import type { Logger } from '../log.ts'
import { processesWith } from '../process/processes.ts'
import type { Projects } from '../project/projects.ts'
import { findUnfinishedProjects, removeUnfinishedProject, type UnfinishedProject } from '../project/unfinished.ts'
import type { Sessions } from '../session/sessions.ts'
import { failure } from './final-event.ts'

/** How long processes are waited for that outlived the orchestrator which started them, in milliseconds (C-5: 60 s). */
const WAIT_MS = 30_000

/** How often we look whether they are gone, in milliseconds. */
const LOOK_MS = 500

/** How something stands that a command was about, for the one who asked for it. */
interface Finding {
  /** True when nothing of what the command made is left. */
  isUndone: boolean
  /** What is there now: facts for programs. */
  facts: Record<string, unknown>
  /** What is there now, in a sentence. */
  says: string
}

/**
 * Says how commands ended that an orchestrator began and did not live to finish. Sessions have been taken over or taken
 * apart by then; what project creations left is removed here.
 */
export class CutOff {
  readonly #projects: Projects
  readonly #sessions: Sessions
  readonly #log: Logger
  readonly #leftovers: readonly UnfinishedProject[]
  readonly #waitMs: number

  /** Looks at what is left; to be made before anything new is started. */
  static async find(options: {
    projects: Projects
    sessions: Sessions
    log: Logger
    projectsDir: string
    waitMs?: number
  }): Promise<CutOff> {
    return new CutOff(options, await findUnfinishedProjects(options.projectsDir))
  }

  private constructor(
    options: { projects: Projects; sessions: Sessions; log: Logger; waitMs?: number },
    leftovers: readonly UnfinishedProject[],
  ) {
    this.#projects = options.projects
    this.#sessions = options.sessions
    this.#log = options.log
    this.#leftovers = leftovers
    this.#waitMs = options.waitMs ?? WAIT_MS
  }

  /** Removes what creations of projects left that no process uses; what is used stays until the next start. */
  async clear(): Promise<void> {
    for (const leftover of this.#leftovers) {
      try {
        const users = await this.#untilNone(() => removeUnfinishedProject(leftover))
        if (users.length > 0)
          this.#log.warn({ path: leftover.path, users }, 'what a cut-off creation of a project left is still in use')
      } catch (error) {
        this.#log.error({ err: error, path: leftover.path }, 'what a cut-off creation of a project left is in the way')
      }
    }
  }

  /** How a command ended: `failed` when it is certain that nothing of it is left, else `interrupted`. */
  async settle(command: Unfinished): Promise<FinalEvent> {
    const about = {
      ...(command.projectId === undefined ? {} : { projectId: command.projectId }),
      ...(command.sessionId === undefined ? {} : { sessionId: command.sessionId }),
    }
    const { isUndone, facts, says } = await this.#look(command).catch(
      (error: unknown): Finding => ({
        isUndone: false,
        facts: {},
        says: `How far it came could not be found out: ${toAioError(error).message}`,
      }),
    )
    const named = (...states: string[]) =>
      command.steps.filter(({ state }) => states.includes(state)).map(({ name }) => name)
    const steps = { completed: named('done'), underWay: named('running', 'failed'), undone: named('undone') }
    const details = { ...steps, ...facts }
    const message = `The orchestrator was restarted while ${command.command} ran. ${says}`
    return isUndone
      ? failure(command, about, 'failed', new AioError('EXEC_ERROR', message, { details }))
      : failure(command, about, 'interrupted', new AioError('INTERRUPTED', message, { details }))
  }

  async #look(command: Unfinished): Promise<Finding> {
    switch (command.command) {
      case 'create_project':
        return await this.#project(command.projectId)
      case 'create_session':
      case 'restore_session':
        return await this.#session(command)
      case 'terminate_session':
        return this.#removal(command.sessionId)
      default:
        return await this.#other(command)
    }
  }

  async #project(projectId: string | undefined): Promise<Finding> {
    const users: number[] = []
    for (const leftover of this.#leftovers)
      if (leftover.projectId === projectId)
        users.push(...(await this.#untilNone(() => removeUnfinishedProject(leftover))))
    const project = this.#projects.list().find(({ id }) => id === projectId)
    const facts = { project: project ?? null, ...(users.length === 0 ? {} : { processes: users }) }
    if (project !== undefined) return { isUndone: false, facts, says: `The project ${project.id} exists.` }
    if (users.length > 0)
      return { isUndone: false, facts, says: 'A program that it started still runs; the project was not made.' }
    const isUndone = projectId !== undefined && !(await pathExists(this.#projects.paths(projectId).dir))
    return { isUndone, facts, says: 'The project was not made, and nothing of it is left. Create it again.' }
  }

  async #session({ sessionId, projectId }: Unfinished): Promise<Finding> {
    const session = sessionId === undefined ? undefined : this.#sessions.get(sessionId)
    const facts = { session: session ?? null }
    if (session !== undefined)
      return { isUndone: false, facts, says: `The session ${session.id} exists and is ${session.state}.` }
    if (sessionId === undefined || projectId === undefined)
      return { isUndone: true, facts, says: 'Its input named no session, so nothing was made.' }
    const { dir, bundles } = this.#projects.paths(projectId)
    const left = [join(dir, sessionId), join(bundles, sessionId)]
    const isLeft = await Promise.all(left.map(pathExists))
    if (isLeft.includes(true))
      return { isUndone: false, facts, says: 'The session was not made, and something of it could not be removed.' }
    return { isUndone: true, facts, says: 'What it had made of the session was undone. Create it again.' }
  }

  #removal(sessionId: string | undefined): Finding {
    const session = sessionId === undefined ? undefined : this.#sessions.get(sessionId)
    const facts = { session: session ?? null }
    const says =
      session === undefined
        ? 'The session is removed.'
        : `The session ${session.id} is still there and is ${session.state}. Remove it again if you still want that.`
    return { isUndone: false, facts, says }
  }

  async #other({ commandId }: Unfinished): Promise<Finding> {
    const processes = await this.#untilNone(() => processesWith('AIO_COMMAND_ID', commandId))
    if (processes.length === 0)
      return { isUndone: false, facts: {}, says: 'What it had done by then stands. Look before you run it again.' }
    const says = `Its program still runs (${processes.join(', ')}), and nobody takes its answer any more.`
    return { isUndone: false, facts: { processes }, says }
  }

  async #untilNone(look: () => Promise<number[]>): Promise<number[]> {
    const deadline = performance.now() + this.#waitMs
    for (;;) {
      const found = await look()
      if (found.length === 0 || performance.now() > deadline) return found
      await sleep(LOOK_MS)
    }
  }
}
