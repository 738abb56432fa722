import { inert } from '../output/table.ts'

const WARN = 40
const LEVELS: Record<string, number> = { trace: 10, debug: 20, info: 30, warn: WARN, error: 50, fatal: 60 }

/**
 * What a person should see of a service's log line: warnings and errors as a sentence, and anything that is not
 * structured (a crash of the runtime, for example) as it is.
 */
export function readableLogLine(line: string): { isError: boolean; text: string } | undefined {
  if (line.trim() === '') return undefined
  const entry = parse(line)
  if (entry === undefined) return { isError: true, text: inert(line) }
  const { level, msg, err } = entry
  const rank = typeof level === 'number' ? level : typeof level === 'string' ? (LEVELS[level] ?? 0) : 0
  if (rank < WARN) return undefined
  const cause = typeof err === 'object' && err !== null && 'message' in err ? String(err.message) : ''
  const message = typeof msg === 'string' ? msg : ''
  const text = cause === '' || message.includes(cause) ? message : message === '' ? cause : `${message}: ${cause}`
  return { isError: rank > WARN, text: inert(text) }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
