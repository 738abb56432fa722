import { AioError, type CommandInput, toAioError } from '@ai-orchestration/protocol'
import type { Steps } from '../command/steps.ts'
import { currentBootId, type HostProcess } from './host-process.ts'
import { writeConfig } from './launch.ts'
import { workspaceOf } from './paths.ts'
import { permissionsAgain } from './permissions.ts'
import { refuseUnsafe } from './preflight.ts'
import type { SessionRuntime } from './runtime.ts'
import { removeContainer, startSession } from './start.ts'
import { mountWorkspace } from './workspace.ts'

/** What a person wants of a restart; everything else stays as it was. */
export type Restart = Omit<CommandInput<'restart_session'>, 'sessionId'>

/**
 * Starts a session's agent anew, whether it runs, is paused or has ended: same workspace, same home, same permission, and
 * the same conversation when the agent has told its name.
 * When it cannot be started the session is `failed` and keeps its work.
 *
 * @throws AioError AGENT_NOT_READY, CONFLICT before anything is stopped; the others of {@link startSession}.
 */
export async function restartSession(
  runtime: SessionRuntime,
  id: string,
  asked: Restart,
  steps: Steps,
): Promise<HostProcess> {
  const { agents, config, doors, store, now } = runtime
  const record = store.require(id)
  refuseUnsafe(runtime.refusals)
  const { session } = record
  const { agent } = agents.choose(session.agent)
  const permissions = permissionsAgain(asked.permissions, session, config.isolation)
  const face = asked.interface ?? session.interface ?? 'terminal'
  const launch = agents.launch(agent, {
    ...(asked.prompt === undefined ? {} : { prompt: asked.prompt }),
    workspace: workspaceOf(id),
    interface: face,
    permissions,
    conversation: record.conversation,
  })
  try {
    await steps.run('Stop', async () => {
      await doors.detach(id)
      await removeContainer(runtime, id)
      await store.change(id, {
        // Whatever happens from here on, nothing takes its workspace for one that nothing has run in.
        phase: 'ran',
        bootId: currentBootId(),
        process: undefined,
        // What it runs in from now on has not waited.
        group: undefined,
        gateway: launch.gateway,
        chat: launch.chat,
        // In a terminal it says so again when it could go on with it; if it could not, the next start is a new one.
        conversation: face === 'chat' ? record.conversation : undefined,
        session: {
          state: 'starting',
          interface: face,
          permissions,
          attention: undefined,
          exit: undefined,
          reached: undefined,
          notice: undefined,
        },
      })
    })
    await steps.run('Workspace', async () => {
      await mountWorkspace(runtime.paths(id), session.base.commit)
      await writeConfig(runtime, id, launch)
    })
    return await startSession(runtime, id, launch, steps)
  } catch (error) {
    await removeContainer(runtime, id)
    const exit = { reason: 'unknown' as const, at: now().toISOString(), lastLines: [toAioError(error).message] }
    await store.change(id, { session: { state: 'failed', exit }, process: undefined })
    throw error instanceof AioError ? error : toAioError(error, 'EXEC_ERROR')
  }
}
