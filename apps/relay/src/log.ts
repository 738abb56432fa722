import { type DestinationStream, type Logger, pino } from 'pino'

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
