import { type ErrorCode, errorCodeSchema } from '@ai-orchestration/protocol'

/** An error of the relay as the page shows it. */
export interface ReadError {
  code: ErrorCode | 'UNKNOWN'
  message: string
  details: Record<string, unknown>
}

/** Reads what a query or mutation threw: the relay's own sentence, its code, its facts. */
export function readError(thrown: unknown): ReadError {
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  for (const source of sourcesOf(thrown)) {
    const code = Reflect.get(source, 'code')
    const known = errorCodeSchema.safeParse(code)
    if (!known.success) continue
    const details: unknown = Reflect.get(source, 'details')
    return { code: known.data, message, details: isRecord(details) ? details : {} }
  }
  return { code: 'UNKNOWN', message, details: {} }
}

// A tRPC error carries ours as its data when it came over the wire, or as its cause when the SDK made it.
function sourcesOf(thrown: unknown): object[] {
  if (typeof thrown !== 'object' || thrown === null) return []
  return [Reflect.get(thrown, 'data'), Reflect.get(thrown, 'cause'), thrown].filter(isRecord)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
