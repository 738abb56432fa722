import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { AioError } from '@ai-orchestration/protocol'
import { cleanEnv } from './run.ts'

/** How a long-lived child is started. */
export interface PipedOptions {
  cwd?: string
  /** The whole environment; when absent, the orchestrator's own without its secrets. */
  env?: Record<string, string>
  /** Open a Node IPC channel as descriptor 3, over which sockets can be handed. */
  hasIpc?: boolean
}

/** A child whose three standard streams are pipes. */
export interface PipedChild {
  readonly process: ChildProcess
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
}

/**
 * Starts a program with open pipes and its arguments as they are. This is the one place that uses Node's own spawn
 * instead of `start`: zx keeps everything a program ever wrote in memory, which a child of many hours or gigabytes must
 * not do, and has no IPC channel.
 *
 * @throws AioError INVALID_INPUT when an argument holds a NUL; EXEC_ERROR when there are no resources for a process.
 */
export function spawnPiped(file: string, args: readonly string[], options: PipedOptions = {}): PipedChild {
  if ([file, ...args].some((text) => text.includes('\0')))
    throw new AioError('INVALID_INPUT', 'An argument of a program holds a NUL character and was refused.')
  const child = spawn(file, args, {
    stdio: options.hasIpc === true ? ['pipe', 'pipe', 'pipe', 'ipc'] : ['pipe', 'pipe', 'pipe'],
    env: options.env ?? cleanEnv(),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const { stdin, stdout, stderr } = child
  if (stdin === null || stdout === null || stderr === null)
    throw new AioError('EXEC_ERROR', `${file} could not be started: there are no free file descriptors.`)
  return { process: child, stdin, stdout, stderr }
}
