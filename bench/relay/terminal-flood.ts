import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec, type Platform, startPlatform, until } from '@ai-orchestration/e2e/platform'
import type { Client } from '@ai-orchestration/sdk'
import { type Figure, type Goal, median } from '../report.ts'

const SESSION = 'demo_flood'
const LINE_CHARS = 99
const LINES = 500_000 // 50 MB, and the terminal adds a carriage return to each
const PRINTED_BYTES = LINES * (LINE_CHARS + 2)
const RUNS = 3
const QUIET_MS = 300
const GOAL: Goal = { of: 'ratio', better: 'higher', atLeast: 0.8, aim: 0.95 }

/**
 * How fast the output of `cat` of 50 MB in a session gets to an SDK client, through tmux, orchestrator and relay, beside the same
 * `cat` in the same pane with nobody watching, when `pipe-pane` alone writes it to the session's log.
 */
export async function terminalFlood(): Promise<Figure[]> {
  for (const [program, option] of [
    ['runc', '--version'],
    ['tmux', '-V'],
  ] as const)
    if (!(await isInstalled(program, option))) {
      console.error(`${program} is not installed, so no session can be flooded.`)
      return []
    }
  await using platform = await startPlatform({ LOG_LEVEL: 'error' })
  await using client = platform.client()
  await client.projects.create.mutate({ name: 'demo' })
  await client.sessions.create.mutate({ projectId: 'demo', name: 'flood', agent: 'shell' })
  await makeFile(client)
  const pane = { platform, client, log: join(platform.projectsDir, 'demo/.bundles', SESSION, 'terminal.log') }
  await alone(pane) // warm up
  await watched(pane)
  const rates: { alone: number[]; watched: number[] } = { alone: [], watched: [] }
  for (let run = 0; run < RUNS; run += 1) {
    rates.alone.push(await alone(pane))
    rates.watched.push(await watched(pane))
  }
  const what = 'relay: 50 MB printed in a session, watched by one SDK client'
  const [ours, theirs] = [median(rates.watched), median(rates.alone)]
  return [
    { what, unit: 'MB/s', ours, baseline: 'the same pane read by pipe-pane alone', theirs, runs: RUNS, goal: GOAL },
  ]
}

async function isInstalled(program: string, option: string): Promise<boolean> {
  try {
    await exec(program, [option])
    return true
  } catch {
    return false // the caller says so
  }
}

interface Pane {
  platform: Platform
  client: Client
  log: string
}

async function makeFile(client: Client): Promise<void> {
  const made = client.exec(SESSION, ['sh', '-c', `yes ${'x'.repeat(LINE_CHARS)} | head -n ${LINES} > flood.txt`])
  if ((await made.exit) !== 0) throw new Error('the file to print could not be made')
}

/** MB per second until the session's log holds all of it. */
async function alone(pane: Pane): Promise<number> {
  const before = await quietSize(pane)
  const startedAt = await print(pane)
  while ((await stat(pane.log)).size < before + PRINTED_BYTES) await sleep(2)
  return rateSince(startedAt)
}

/** MB per second until a client has all of it. */
async function watched(pane: Pane): Promise<number> {
  await quietSize(pane)
  await using terminal = await pane.client.terminal(SESSION)
  await sleep(QUIET_MS) // the screen as it is comes first
  const startedAt = await print(pane)
  let bytes = 0
  for await (const item of terminal) {
    if (item.type === 'truncated') throw new Error(`the viewer fell behind by ${item.bytes} bytes`)
    if (item.type === 'data') bytes += Buffer.byteLength(item.data)
    if (bytes >= PRINTED_BYTES) break
  }
  return rateSince(startedAt)
}

/** Types the command as tmux would, past relay and orchestrator. */
async function print({ platform }: Pane): Promise<number> {
  const startedAt = performance.now()
  const tmux = ['-S', join(platform.aioRun, 'tmux.sock'), 'send-keys', '-t', `=claude-${SESSION}:`]
  await exec('tmux', [...tmux, 'clear; cat flood.txt', 'Enter'])
  return startedAt
}

function rateSince(startedAt: number): number {
  return PRINTED_BYTES / 1_000 / (performance.now() - startedAt)
}

/** The log's size once nothing has come for a while. */
async function quietSize({ log }: Pane): Promise<number> {
  let size = -1
  await until(async () => {
    await sleep(QUIET_MS)
    const before = size
    size = (await stat(log)).size
    return size === before
  })
  return size
}
