import type { ChildProcess } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

/** Time a program has to end by itself after SIGTERM, in milliseconds. */
const GRACE_MS = 2_000
const POLL_MS = 20

/**
 * Ends what a `runc exec` runs inside a container: SIGKILL to runc alone would leave it running. The program is runc's
 * child and leads a process group of its own, which gets SIGTERM, and SIGKILL when it does not end in time.
 */
export async function endTree(parent: ChildProcess, graceMs = GRACE_MS): Promise<void> {
  const { pid } = parent
  const isOver = () => pid === undefined || parent.exitCode !== null || parent.signalCode !== null
  const deadline = performance.now() + graceMs
  const told = new Set<string>()
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    // While runc is still setting things up there is no program yet.
    do {
      if (isOver()) return
      for (const child of await childrenOf(pid ?? 0)) {
        if (told.has(`${child} ${signal}`)) continue
        if (await signalGroup(child, signal)) told.add(`${child} ${signal}`)
      }
      await sleep(POLL_MS)
    } while (signal === 'SIGTERM' && performance.now() < deadline)
  }
  await sleep(POLL_MS * 10)
  if (!isOver()) parent.kill('SIGKILL')
}

async function childrenOf(pid: number): Promise<number[]> {
  // Children belong to the thread that made them, and runc has many.
  const threads = await readdir(`/proc/${pid}/task`).catch(gone([]))
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/children`, 'utf8').catch(gone(''))),
  )
  return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number))
}

/** Answers whether the whole group was told; a process that leads none yet is still being set up by runc. */
async function signalGroup(pid: number, signal: NodeJS.Signals): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(gone(''))
  // After the name, which may hold anything: state, parent, group.
  const group = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2])
  if (!group) return false
  try {
    process.kill(group === pid ? -pid : pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
  return group === pid
}

/** A process that has ended meanwhile is no problem. */
function gone<T>(nothing: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return nothing
    throw error
  }
}
