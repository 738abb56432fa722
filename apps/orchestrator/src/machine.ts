import { readFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import type { Orchestrator } from '@ai-orchestration/protocol'
import { run } from './process/run.ts'

/** The facts of this machine that people are shown. */
export async function describeMachine(): Promise<Orchestrator['machine']> {
  const runc = await run('runc', ['--version'], { allowFailure: true })
  const version = /^runc version (\S+)/m.exec(runc.stdout)?.[1]
  return {
    cores: cpus().length,
    memoryBytes: await memoryLimit(),
    kernel: release(),
    ...(version === undefined ? {} : { runc: version }),
  }
}

/** What this machine, or the container it runs in, may use at most, in bytes. */
async function memoryLimit(): Promise<number> {
  const limits = await Promise.all(
    ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'].map(
      async (path) => Number(await readFile(path, 'utf8').catch(() => '')) || Number.POSITIVE_INFINITY,
    ),
  )
  return Math.min(totalmem(), ...limits)
}
