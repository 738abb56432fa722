import { setTimeout as sleep } from 'node:timers/promises'
import { containerIdOf, type SessionExit } from '@ai-orchestration/protocol'
import type { TerminalState } from '../terminal/tmux.ts'
import { currentBootId } from './host-process.ts'
import type { SessionRecord } from './record.ts'
import type { SessionRuntime } from './runtime.ts'

/** What the watch over limits knows of a session that has just ended. */
export interface RecentHits {
  /** Something was killed for lack of memory, or could not be started for the limit of processes, a moment ago. */
  oom: boolean
  pids: boolean
}

const LAST_LINES_MAX = 20

/** Says how a session's process ended, from its terminal, its control group and what was known of it before. */
export async function describeExit(
  runtime: SessionRuntime,
  record: SessionRecord,
  hits: RecentHits,
  given: SessionExit['reason'] | undefined,
): Promise<SessionExit> {
  const { tmux, now } = runtime
  const name = containerIdOf(record.session.id)
  const at = now().toISOString()
  if (record.bootId !== currentBootId()) return { reason: 'reboot', at }
  const terminal = await finishedTerminal(runtime, name)
  if (terminal === undefined) return { reason: given ?? 'tmux_gone', at }
  const screen = (await tmux.capture(name, LAST_LINES_MAX).catch(() => '')).split('\n')
  const lastLines = screen.filter((line) => line.trim() !== '').slice(-LAST_LINES_MAX)
  const shown = { at, ...(lastLines.length === 0 ? {} : { lastLines }) }
  const { exitCode } = terminal
  const wasKilled = exitCode === undefined || isSignal(exitCode)
  if (hits.oom && (exitCode === undefined || exitCode === 137)) return { reason: 'oom', ...shown }
  if (wasKilled && record.session.pause?.reason === 'disk') return { reason: 'disk_limit', ...shown }
  if (given !== undefined) return { reason: given, ...shown }
  const status = exitCode === undefined || wasKilled ? {} : { code: exitCode }
  if (hits.pids && exitCode !== 0) return { reason: 'pids_limit', ...status, ...shown }
  if (exitCode === undefined) return { reason: terminal.isDead ? 'killed' : 'unknown', ...shown }
  return wasKilled ? { reason: 'killed', ...shown } : { reason: 'exited', ...status, ...shown }
}

/** The runtime ends a moment after the process, and tmux learns its status a moment after its terminal has closed. */
async function finishedTerminal({ tmux }: SessionRuntime, name: string): Promise<TerminalState | undefined> {
  for (let attempt = 0; ; attempt++) {
    const terminal = (await tmux.list()).find((state) => state.name === name)
    const isKnown = terminal?.exitCode !== undefined || terminal?.signal !== undefined
    if (terminal === undefined || isKnown || attempt === 20) return terminal
    await sleep(50)
  }
}

/** 128 and a signal's number is how a program that was killed shows; 130 is what Ctrl-C and then `exit` leave. */
function isSignal(exitCode: number): boolean {
  return exitCode > 128 && exitCode <= 128 + 31 && exitCode !== 130
}
