import { AioError, parseSessionId, type Question, type QuestionOption, type Rule } from '@ai-orchestration/protocol'
import type { Questions } from '../question/questions.ts'
import type { Rules } from '../question/rules.ts'
import type { Addresses } from './addresses.ts'
import { formatTarget, type HostPattern, matchesPattern, type Target } from './target.ts'

/** What a project says of its sessions' way out. */
export interface EgressSettings {
  /** Hosts that may be reached. */
  allow: readonly HostPattern[]
  /** What becomes of a host that no list names. */
  unknown: 'ask' | 'deny'
  /** How long a request to such a host waits for an answer, in milliseconds. */
  holdMs: number
}

/** Whether a request may go on; `reason` is a sentence for whoever reads the answer or the log. */
export type Decision = { isAllowed: true } | { isAllowed: false; reason: string }

const ALLOWED: Decision = { isAllowed: true }
/** A permission for once that nobody was waiting for any more is good for so long, in milliseconds. */
const GRANT_MS = 10 * 60_000

const OPTIONS: QuestionOption[] = [
  { id: 'once', label: 'Allow once', style: 'allow' },
  { id: 'session', label: 'Allow in this session', style: 'allow', always: 'session' },
  { id: 'project', label: 'Allow in this project', style: 'allow', always: 'project' },
  { id: 'deny', label: 'Deny', style: 'deny' },
  { id: 'deny-session', label: 'Deny in this session', style: 'deny', always: 'session' },
  { id: 'deny-project', label: 'Deny in this project', style: 'deny', always: 'project' },
]

/** Says where one session may go: standing answers first, then the lists, then a person, and otherwise no. */
export class EgressPolicy {
  readonly #sessionId: string
  readonly #settings: () => Promise<EgressSettings>
  readonly #questions: Questions
  readonly #rules: Rules
  readonly #addresses: Addresses
  readonly #now: () => number
  /** Requests that wait, by question. */
  readonly #held = new Map<string, number>()
  /** Answered for once while nobody waited: until when the next request may pass. */
  readonly #grants = new Map<string, number>()
  readonly #stopListening: () => void

  constructor(options: {
    sessionId: string
    settings: () => Promise<EgressSettings>
    questions: Questions
    rules: Rules
    addresses: Addresses
    now?: () => number
  }) {
    this.#sessionId = options.sessionId
    this.#addresses = options.addresses
    this.#settings = options.settings
    this.#questions = options.questions
    this.#rules = options.rules
    this.#now = options.now ?? Date.now
    this.#stopListening = options.questions.onChange((event) => {
      if (event.type === 'question_answered') this.#takeLateAnswer(event.question)
    })
  }

  /** Decides on one request; it may take as long as a person takes. @throws the signal's reason. */
  async decide(target: Target, protocol: 'https' | 'http', signal: AbortSignal): Promise<Decision> {
    const rule = this.#ruleFor(target)
    if (rule !== undefined) return ofRule(rule, target)
    const settings = await this.#settings()
    if (settings.allow.some((pattern) => matchesPattern(pattern, target))) return ALLOWED
    if (!this.#isWorthAsking(target))
      return denied(`${formatTarget(target)} is not among the hosts that this session may reach`)
    if (this.#takeGrant(target)) return ALLOWED
    if (settings.unknown === 'deny')
      return denied(
        `${formatTarget(target)} is not among the hosts that this session may reach, and its project asks for none`,
      )
    return await this.#ask(target, protocol, settings.holdMs, signal)
  }

  /** Stops listening; the questions wait on. */
  close(): void {
    this.#stopListening()
  }

  async #ask(target: Target, protocol: 'https' | 'http', holdMs: number, signal: AbortSignal): Promise<Decision> {
    let question: Question
    try {
      question = this.#questionFor(target, protocol)
    } catch (error) {
      if (error instanceof AioError) return denied(error.message)
      throw error
    }
    const { id } = question
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1)
    const over = AbortSignal.timeout(holdMs)
    try {
      const settled = await this.#questions.settled(id, AbortSignal.any([signal, over]))
      return ofAnswer(settled, target)
    } catch (error) {
      if (signal.aborted || !over.aborted) throw error
      return denied(
        `nobody has answered whether this session may reach ${formatTarget(target)} within ${Math.round(holdMs / 1_000)} seconds. The question waits on; try again when it is answered (aio approve ${id})`,
      )
    } finally {
      this.#held.set(id, (this.#held.get(id) ?? 1) - 1)
      if (this.#held.get(id) === 0) this.#held.delete(id)
    }
  }

  /** What could never be reached, or is no name that a person can judge, is not asked about. */
  #isWorthAsking(target: Target): boolean {
    return target.isAddress ? this.#addresses.isException(target) : !isLocalName(target.host)
  }

  /** The same is not asked twice, also when an orchestrator before this one has asked it. */
  #questionFor(target: Target, protocol: 'https' | 'http'): Question {
    const pending = this.#questions.findPending(
      this.#sessionId,
      ({ kind, detail }) => kind === 'egress' && isAbout(detail, target),
    )
    if (pending !== undefined) return pending
    const { host, port } = target
    return this.#questions.ask({
      kind: 'egress',
      sessionId: this.#sessionId,
      projectId: parseSessionId(this.#sessionId)?.projectId ?? '',
      title: `May ${this.#sessionId} reach ${formatTarget(target)}?`,
      detail: { host, port, protocol },
      options: OPTIONS,
    })
  }

  #ruleFor({ host, port }: Target): Rule | undefined {
    return this.#rules.find(this.#sessionId, { kind: 'egress', host, port })
  }

  #takeLateAnswer(question: Question): void {
    if (question.kind !== 'egress' || question.sessionId !== this.#sessionId) return
    if (question.answer?.optionId !== 'once' || this.#held.has(question.id)) return
    this.#grants.set(formatTarget(question.detail), this.#now() + GRANT_MS)
  }

  #takeGrant(target: Target): boolean {
    const key = formatTarget(target)
    const until = this.#grants.get(key) ?? 0
    this.#grants.delete(key)
    return this.#now() < until
  }
}

function ofRule({ verdict }: Rule, target: Target): Decision {
  return verdict === 'allow' ? ALLOWED : denied(`a person has denied ${formatTarget(target)} to this session for good`)
}

function ofAnswer({ state, answer, options }: Question, target: Target): Decision {
  const option = options.find(({ id }) => id === answer?.optionId)
  if (state === 'answered' && option?.style === 'allow') return ALLOWED
  if (state !== 'answered') return denied(`the question whether it may reach ${formatTarget(target)} was withdrawn`)
  const said = answer?.text === undefined ? '' : `: ${answer.text.replaceAll(/\s+/g, ' ').slice(0, 500)}`
  return denied(`${answer?.by.name ?? 'a person'} has denied ${formatTarget(target)} to this session${said}`)
}

function isAbout(detail: Question['detail'], { host, port }: Target): boolean {
  return 'host' in detail && detail.host === host && detail.port === port
}

/** Names that mean this machine or its network everywhere (RFC 6761, 6762, 8375). */
function isLocalName(host: string): boolean {
  return !host.includes('.') || /\.(?:localhost|local|internal|home\.arpa)$/.test(host)
}

function denied(reason: string): Decision {
  return { isAllowed: false, reason }
}
