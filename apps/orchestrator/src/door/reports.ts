import type { IncomingMessage, ServerResponse } from 'node:http'
import { refuse } from './refuse.ts'
import { REPORT_BYTES_MAX, REPORT_PATH, type Report } from './report-commands.ts'

/** So many reports are taken at once, and so many more every second. */
const BURST = 30
const PER_SECOND = 10
/** Agents name their conversations so; it becomes an argument of theirs again, so it can be no option. */
const CONVERSATION = /"session_?[iI][dD]"\s*:\s*"([A-Za-z0-9][A-Za-z0-9_-]{7,99})"/

/** What a session's agent says of itself. */
export interface AgentReport {
  state: Report
  /** Its own name of the conversation. */
  conversation?: string
}

/** Behind a session's door: takes what the hooks of its agent tell. Bounded, since whoever is inside can call it. */
export class Reports {
  readonly #onReport: (report: AgentReport) => void
  readonly #now: () => number
  #tokens = BURST
  #countedAt: number

  constructor(onReport: (report: AgentReport) => void, now: () => number = () => performance.now()) {
    this.#onReport = onReport
    this.#now = now
    this.#countedAt = now()
  }

  /** Tells whether a request is a report. */
  static isOne(request: IncomingMessage): boolean {
    return request.url?.startsWith(REPORT_PATH) === true
  }

  /** Serves a report. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const state = stateOf(request.url?.slice(REPORT_PATH.length))
    if (request.method !== 'POST' || state === undefined) {
      refuse(response, 404, 'This is no report of an agent.')
      return
    }
    if (!this.#take()) {
      refuse(response, 429, 'An agent that tells so often how it stands is not listened to.')
      return
    }
    let text = ''
    request.setEncoding('latin1').on('data', (data: string) => {
      text += data
      if (text.length > REPORT_BYTES_MAX) request.destroy()
    })
    request.on('end', () => {
      const conversation = CONVERSATION.exec(text)?.[1]
      this.#onReport({ state, ...(conversation === undefined ? {} : { conversation }) })
      response.writeHead(204, { connection: 'close' }).end()
    })
    // A hook that is ended in the middle of its report has said nothing.
    request.on('error', () => response.destroy())
  }

  #take(): boolean {
    const now = this.#now()
    this.#tokens = Math.min(BURST, this.#tokens + ((now - this.#countedAt) / 1_000) * PER_SECOND)
    this.#countedAt = now
    if (this.#tokens < 1) return false
    this.#tokens -= 1
    return true
  }
}

function stateOf(name: string | undefined): Report | undefined {
  switch (name) {
    case 'idle':
    case 'working':
    case 'needs_input':
    case 'done':
    case 'failed':
      return name
    default:
      return undefined
  }
}
