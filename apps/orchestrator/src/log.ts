import { type DestinationStream, type Logger, pino } from 'pino'

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
    toStderr(),
  )
}

const UNWRITTEN_MAX_BYTES = 64 * 1024

// A log on a full disk must not end the process (pino's own way): what does not fit waits for a while, and then is dropped.
function toStderr(): DestinationStream {
  const destination = pino.destination({ fd: 2, sync: true, maxLength: UNWRITTEN_MAX_BYTES })
  destination.on('error', () => undefined) // there is nowhere to say it
  return destination
}
