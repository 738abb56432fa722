import type { ErrorCode } from '@ai-orchestration/protocol'

/** Exit codes of `aio`, as the contracts fix them. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  unauthorized: 4,
  timedOut: 5,
  interrupted: 130,
} as const

/** Exit status of `exec` when not the program but we failed. */
export const EXEC_FAILED = 125

/** The exit code an error of ours ends the process with. */
export function exitCodeOf(code: ErrorCode): number {
  switch (code) {
    case 'INVALID_INPUT':
      return EXIT.usage
    case 'UNAVAILABLE':
      return EXIT.unreachable
    case 'UNAUTHORIZED':
    case 'FORBIDDEN':
      return EXIT.unauthorized
    case 'TIMEOUT':
      return EXIT.timedOut
    default:
      return EXIT.failed
  }
}
