import { toAioError } from '@ai-orchestration/protocol'
import type { HostProcess } from './host-process.ts'
import type { SessionRuntime } from './runtime.ts'

/**
 * Opens the door of a session that runs.
 *
 * @throws AioError ISOLATION_UNAVAILABLE
 */
export async function openDoor(runtime: SessionRuntime, id: string, process: HostProcess): Promise<void> {
  const { session, gateway } = runtime.store.require(id)
  await runtime.doors.attach(id, process.pid, {
    agent: session.agent,
    gateway,
    logFile: runtime.paths(id).egressLog,
    usage: session.usage,
  })
}

/** The same without waiting: an agent that needs no model runs on without a way out, and is told to have none. */
export function openDoorAside(runtime: SessionRuntime, id: string, process: HostProcess): void {
  openDoor(runtime, id, process).catch(async (error: unknown) => {
    if (runtime.store.get(id)?.session.state !== 'running') return
    runtime.log.warn({ session: id, err: error }, 'a session has no way out')
    await runtime.store.change(id, { session: { notice: `It has no way out. ${toAioError(error).message}` } })
  })
}
