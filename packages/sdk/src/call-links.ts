import { AioError } from '@ai-orchestration/protocol'
import { type Operation, TRPCClientError, type TRPCLink } from '@trpc/client'
import { observable, type Unsubscribable } from '@trpc/server/observable'
import { fullJitter } from './backoff.ts'
import { asAioError, connectionLost, isConnectionLost, isRefusedForNow } from './client-error.ts'
import { newCommandId } from './command-id.ts'
import type { RelaySocket } from './relay-socket.ts'
import type { AppRouter } from './router.ts'

/** Mutations that become a command: they carry a client-made id, so asking again is safe (C-3). */
const COMMAND_PATHS: ReadonlySet<string> = new Set([
  'projects.create',
  'projects.delete',
  'sessions.create',
  'sessions.terminate',
  'chat.prompt',
  'chat.cancel',
  'chat.setOption',
  'agents.install',
  'rootfs.build',
  'commands.run',
])

/** Subscriptions that must not be opened again by themselves: it would run a command twice, or use an old epoch. */
const ONCE_PATHS: ReadonlySet<string> = new Set([
  'sessions.exec',
  'sessions.export',
  'orchestrator.commands',
  'orchestrator.streams',
])

/** How long a command or query that lost its socket, or was told to come again, waits for the relay, in milliseconds. */
const RETURN_TIMEOUT_MS = 60_000

/** How long after that the command's orchestrator is waited for, in milliseconds. */
const ORCHESTRATOR_RETURN_MS = 30_000

const RETURN_TIMEOUT = 'aioConnectTimeoutMs'

/**
 * Gives commands their id, and asks again by it (and any query) when the socket closed before the answer, or when the relay
 * says that it did nothing and when to come again.
 */
export function askAgainLink(random: () => number): TRPCLink<AppRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) => {
        const isCommand = op.type === 'mutation' && COMMAND_PATHS.has(op.path)
        const asked: Operation = isCommand ? { ...op, input: withCommandId(op.input) } : op
        let current: Unsubscribable | undefined
        let pause: ReturnType<typeof setTimeout> | undefined
        let lostAt: number | undefined
        let attempts = 0
        const ask = (operation: Operation) => {
          current = next(operation).subscribe({
            next: (value) => observer.next(value),
            complete: () => observer.complete(),
            error: (thrown) => {
              const error = asAioError(thrown)
              const mayAskAgain = isCommand || op.type === 'query'
              if (mayAskAgain && (isConnectionLost(error) || isRefusedForNow(error))) lostAt ??= performance.now()
              else if (!isCommand || lostAt === undefined || !isPassing(error, performance.now() - lostAt))
                return observer.error(thrown)
              if (isRefusedForNow(error) && performance.now() - lostAt > RETURN_TIMEOUT_MS)
                return observer.error(thrown)
              attempts += 1
              const context = { ...op.context, [RETURN_TIMEOUT]: RETURN_TIMEOUT_MS }
              pause = setTimeout(() => ask({ ...asked, context }), fullJitter(Math.min(attempts, 3), random))
            },
          })
        }
        ask(asked)
        return () => {
          clearTimeout(pause)
          current?.unsubscribe()
        }
      })
}

/** A relay that was restarted knows no machine, project or session until their orchestrator is back. */
function isPassing({ code }: AioError, sinceLostMs: number): boolean {
  const isMissing = code === 'ORCHESTRATOR_NOT_FOUND' || code === 'ORCHESTRATOR_OFFLINE' || code === 'NOT_FOUND'
  return isMissing && sinceLostMs < ORCHESTRATOR_RETURN_MS
}

/** Lets a call wait for its socket only so long, and ends it with our error when the socket cannot serve it. */
export function gateLink(socket: RelaySocket, connectTimeoutMs: number, url: string): TRPCLink<AppRouter> {
  return () =>
    ({ op, next }) =>
      observable((observer) => {
        const fail = (error: AioError) => observer.error(TRPCClientError.from(error))
        if (socket.refusal !== undefined) {
          fail(socket.refusal)
          return () => undefined
        }
        const ownTimeout = op.context[RETURN_TIMEOUT]
        const timeoutMs = typeof ownTimeout === 'number' ? Math.max(ownTimeout, connectTimeoutMs) : connectTimeoutMs
        let timer: ReturnType<typeof setTimeout> | undefined
        let wasConnected = false
        let hasDeadline = Number.isFinite(timeoutMs)
        const arm = () => {
          if (socket.status.state === 'connected') {
            clearTimeout(timer)
            timer = undefined
            wasConnected = true
            // A subscription that has been connected once comes back by itself, however long it takes.
            if (op.type === 'subscription') hasDeadline = false
          } else if (hasDeadline && timer === undefined)
            timer = setTimeout(
              () =>
                fail(unreachable(url, timeoutMs, typeof ownTimeout === 'number' ? commandIdOf(op.input) : undefined)),
              timeoutMs,
            )
        }
        const stopWatching = socket.onStatus(() => {
          if (socket.refusal !== undefined) fail(socket.refusal)
          else if (wasConnected && socket.status.state !== 'connected' && ONCE_PATHS.has(op.path))
            fail(connectionLost())
          else arm()
        })
        arm()
        const call = next(op).subscribe({
          next: (value) => observer.next(value),
          error: (thrown) => {
            // What the relay said keeps its shape, for other tRPC clients on this link.
            if (socket.refusal === undefined && thrown.shape) observer.error(thrown)
            else fail(socket.refusal ?? asAioError(thrown))
          },
          complete: () => (socket.refusal === undefined ? observer.complete() : fail(socket.refusal)),
        })
        return () => {
          stopWatching()
          clearTimeout(timer)
          call.unsubscribe()
        }
      })
}

function withCommandId(input: unknown): unknown {
  if (typeof input !== 'object' || input === null) return input
  if ('commandId' in input && input.commandId !== undefined) return input
  return { ...input, commandId: newCommandId() }
}

function unreachable(url: string, timeoutMs: number, id: string | undefined): AioError {
  const seconds = Math.round(timeoutMs / 100) / 10
  const after = id === undefined ? '' : ` Command ${id} may have been accepted; ask for it when the relay is back.`
  return new AioError(
    'UNAVAILABLE',
    `The relay at ${url} did not answer within ${seconds} seconds. Check that it runs (\`aio up\`) and that the address is right.${after}`,
    id === undefined ? {} : { details: { commandId: id } },
  )
}

function commandIdOf(input: unknown): string | undefined {
  return typeof input === 'object' && input !== null && 'commandId' in input && typeof input.commandId === 'string'
    ? input.commandId
    : undefined
}
