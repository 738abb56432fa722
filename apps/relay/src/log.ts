import { type Logger, pino } from 'pino'

/** Makes the process's logger: JSON lines on stderr. Callers pass no inputs, tokens or headers; redaction is the second line. */
export function createLogger(level: string): Logger {
  return pino(
    {
      name: 'relay',
      level,
      redact: {
        paths: ['token', '*.token', 'code', '*.code', 'authorization', '*.authorization', 'headers', 'input'],
        censor: '[secret]',
      },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}
