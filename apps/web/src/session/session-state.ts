import type { Orchestrator, Question, Session, SessionExit } from '@ai-orchestration/protocol'
import { inertText } from '../code/inert-text.ts'
import type { CommandView } from '../relay/fleet-state.ts'
import type { GlyphState } from '../ui/state-glyph.tsx'

/** A session's state for people: its shape, its word, and one line on what it is doing or how it ended. */
export interface SessionFace {
  glyph: GlyphState
  word: string
  doing: string
  /** True while its machine cannot be asked, so that all of this is as of earlier. */
  isStale: boolean
}

/** Names of the steps of `create_session`, as people read them. Unknown ones are shown as they are. */
const STEP_WORDS: Record<string, string> = {
  record: 'Name and branch',
  base: 'Files of the base commit',
  home: 'Home of the agent',
  isolation: 'Isolation checked',
}

/** A step's name for people. */
export function stepWord(name: string): string {
  return STEP_WORDS[name] ?? name.charAt(0).toUpperCase() + name.slice(1).replaceAll(/[-_]/g, ' ')
}

/** What a session shows in a row and in its header. */
export function faceOf(
  session: Session,
  orchestrator: Orchestrator | undefined,
  creation: CommandView | undefined,
  question?: Question,
): SessionFace {
  if (orchestrator?.state === 'offline' && session.state !== 'stopped' && session.state !== 'failed')
    return {
      glyph: 'offline',
      word: 'Offline',
      doing: `${orchestrator.name} is offline; the session goes on there`,
      isStale: true,
    }
  const isStale = orchestrator?.state === 'offline'
  switch (session.state) {
    case 'starting':
      return { glyph: 'starting', word: 'Starting', doing: startingLine(creation), isStale }
    case 'running':
      return { ...runningFace(session, question), isStale }
    case 'paused':
      return { glyph: 'paused', word: 'Paused', doing: pauseLine(session), isStale }
    case 'stopped':
      return { ...endedFace(session.exit), doing: exitLine(session.exit), isStale }
    case 'failed':
      return { glyph: 'failed', word: 'Failed', doing: failedLine(session.exit), isStale }
    default:
      return session.state satisfies never
  }
}

/** What its agent says of itself, where it does; a question to a person comes before all. */
function runningFace(session: Session, question: Question | undefined): Omit<SessionFace, 'isStale'> {
  const { attention } = session
  if (question !== undefined || attention === 'needs_input')
    return {
      glyph: 'needs',
      word: 'Needs input',
      doing: question === undefined ? 'Waits for you on its terminal' : `Waits for you: ${inertText(question.title)}`,
    }
  const doing = session.notice ?? runningLine(session)
  switch (attention) {
    case 'working':
      return { glyph: 'working', word: 'Working', doing: session.notice ?? `Working. ${runningLine(session)}` }
    case 'idle':
      return { glyph: 'idle', word: 'Idle', doing: session.notice ?? 'Waits for a prompt' }
    case 'done':
      return { glyph: 'done', word: 'Done', doing: session.notice ?? 'Did what it was asked. Waits for a prompt' }
    case 'failed':
      return {
        glyph: 'failed',
        word: 'Failed',
        doing: session.notice ?? 'What it was asked last failed. Waits for a prompt',
      }
    case undefined:
      return { glyph: 'working', word: 'Running', doing }
    default:
      return attention satisfies never
  }
}

/** Why a session's process ended, as the rest of a sentence: "exited with 0", "was killed". */
export function exitLine(exit: SessionExit | undefined): string {
  if (exit === undefined) return 'Ended'
  switch (exit.reason) {
    case 'exited':
      return exit.code === undefined ? 'Ended by itself' : `Ended with exit ${exit.code}`
    case 'killed':
      return 'Stopped from outside'
    case 'oom':
      return 'Stopped: out of memory'
    case 'pids_limit':
      return 'Stopped: it could start no more processes'
    case 'disk_limit':
      return 'Stopped: it took more disk than it may'
    case 'tmux_gone':
      return 'Stopped: its terminal server went away'
    case 'reboot':
      return 'Stopped by a restart of the machine'
    case 'unknown':
      return 'Ended while nobody was watching'
    default:
      return exit.reason satisfies never
  }
}

function endedFace(exit: SessionExit | undefined): { glyph: GlyphState; word: string } {
  if (exit?.reason === 'exited' && exit.code === 0) return { glyph: 'done', word: 'Done' }
  if (isLimit(exit) || (exit?.reason === 'exited' && exit.code !== undefined))
    return { glyph: 'failed', word: 'Stopped' }
  return { glyph: 'paused', word: 'Stopped' }
}

function isLimit(exit: SessionExit | undefined): boolean {
  return exit?.reason === 'oom' || exit?.reason === 'pids_limit' || exit?.reason === 'disk_limit'
}

function pauseLine({ pause }: Session): string {
  const reason = pause?.reason
  switch (reason) {
    case 'disk':
      return 'Paused: it took more disk than it may. Raise its limit to go on'
    case 'idle':
      return 'Paused, because nothing had happened for a while'
    case 'budget':
      return 'Paused: its budget is used up, and it asks whether to go on'
    case 'asked':
    case undefined:
      return 'Paused; its processes are frozen'
    default:
      return reason satisfies never
  }
}

function startingLine(creation: CommandView | undefined): string {
  const running = creation?.steps.findLast((step) => step.state === 'running')
  return running === undefined ? (creation?.message ?? 'Starting') : `Starting: ${stepWord(running.name).toLowerCase()}`
}

function runningLine(session: Session): string {
  return session.headCommit === undefined || session.headCommit === session.base.commit
    ? `Running on ${session.base.ref} at ${session.base.commit.slice(0, 7)}`
    : `Running, last commit ${session.headCommit.slice(0, 7)}`
}

function failedLine(exit: SessionExit | undefined): string {
  const last = exit?.lastLines?.findLast((line) => line.trim() !== '')
  return last === undefined
    ? `Failed at its start: ${exitLine(exit).toLowerCase()}`
    : `${exitLine(exit)}: ${last.trim()}`
}
