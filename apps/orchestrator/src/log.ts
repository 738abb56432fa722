import { type Logger, pino } from 'pino'

export type { Logger }

/** Makes the process's logger: JSON lines on stderr, without secrets. */
export function createLogger(level: string): Logger {
  return pino(
    {
      name: 'orchestrator',
      level,
      redact: {
        paths: [
          'token',
          '*.token',
          'apiKey',
          '*.apiKey',
          'authorization',
          '*.authorization',
          'headers',
          'env',
          '*.env',
        ],
        censor: '[secret]',
      },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}
