import { AGENT_METHODS, CLIENT_METHODS } from '@agentclientprotocol/sdk'
import { AioError, type ChatHead } from '@ai-orchestration/protocol'
import {
  type AgentFrame,
  type AgentUpdate,
  agentFrameSchema,
  type PermissionRequest,
  permissionRequestSchema,
  promptedSchema,
  updateSchema,
} from './agent-frames.ts'
import { type AgentLine, AgentPipe } from './agent-pipe.ts'
import { type ConversationParts, Exchange } from './exchange.ts'
import { Forms } from './forms.ts'
import { applyToHead } from './head.ts'
import { type ConversationStart, Opening } from './opening.ts'
import type { PermissionQuestion } from './permission-desk.ts'
import { summaryOf } from './summary.ts'

/** An agent that was told to stop and does not say so by then has its prompt closed, in milliseconds. */
const CANCEL_MS = 15_000
/** So many entries are looked through for the last prompt; one that took more is taken for one that came to its end. */
const LAST_ENTRIES = 500
/** Most prompts that wait. */
const QUEUE_MAX = 100
/** JSON-RPC's code for a method that is not there, and for parameters that do not fit. */
const METHOD_NOT_FOUND = -32_601
const INVALID_PARAMS = -32_602

/**
 * One session's conversation with its agent, by the Agent Client Protocol. Everything it must remember is on disk before
 * it is acted on, so another process can go on in the middle of a turn.
 */
export class Conversation implements AsyncDisposable {
  readonly #exchange: Exchange
  readonly #opening: Opening
  readonly #forms: Forms
  readonly #stopListening: () => void
  #cancel: NodeJS.Timeout | undefined

  constructor(parts: ConversationParts) {
    this.#exchange = new Exchange(parts)
    this.#opening = new Opening(this.#exchange)
    this.#forms = new Forms(this.#exchange)
    this.#stopListening = parts.desk.onSettled(() => this.#answerPending())
  }

  /** How it stands. */
  get head(): ChatHead {
    return this.#exchange.note.head
  }

  /** The agent's own name of it, and how the last prompt ended, when there was one. */
  get last(): { conversation: string | undefined; prompt: 'done' | 'failed' | 'cancelled' | undefined } {
    const { note, store } = this.#exchange
    const state = store
      .before(undefined, LAST_ENTRIES)
      .flatMap((entry) => (entry.type === 'prompt' ? [entry.state] : []))
      .findLast((known) => known !== 'queued')
    return { conversation: note.agentSessionId, prompt: state === 'running' ? undefined : state }
  }

  /** Takes up the conversation with an agent that runs: goes on with the same start of it, or begins with a new one. */
  async begin(start: ConversationStart): Promise<void> {
    const exchange = this.#exchange
    await exchange.pipe?.[Symbol.asyncDispose]()
    this.#opening.start = start
    const isNew = exchange.note.run !== start.run
    if (isNew) {
      this.#dropWhatWaits('The agent was started again before it had answered.')
      exchange.note = { ...exchange.note, run: start.run, offset: 0, phase: 'opening', requests: {}, nextRequestId: 1 }
      if (start.conversation !== undefined) exchange.note.agentSessionId = start.conversation
    }
    exchange.pipe = await AgentPipe.open(start.files, exchange.note.offset, {
      lines: (lines) => exchange.change(() => this.#takeLines(lines)),
      error: (error) => exchange.log.warn({ session: exchange.sessionId, err: error }, 'an agent cannot be heard'),
    })
    exchange.change(() => {
      if (isNew) this.#opening.begin()
      else this.#answerPending()
    })
  }

  /** Notes that the agent's process has ended; what waited for it cannot go on. */
  async end(): Promise<void> {
    const exchange = this.#exchange
    await exchange.pipe?.[Symbol.asyncDispose]()
    exchange.pipe = undefined
    exchange.change(() => {
      if (exchange.note.phase === 'ended') return
      exchange.note.phase = 'ended'
      this.#dropWhatWaits('The agent ended before it had answered.')
    })
  }

  /**
   * Queues a prompt; repeating one with the same id changes nothing.
   *
   * @throws AioError NOT_RUNNING when the agent has ended; LIMIT when too many wait.
   */
  prompt(prompt: { id: string; text: string; by: string }): void {
    const { note, store, transcript, sessionId } = this.#exchange
    if (store.get(prompt.id) !== undefined) return
    if (note.phase === 'ended')
      throw new AioError(
        'NOT_RUNNING',
        `The agent of ${sessionId} has ended or could not begin. Start it again with: aio sessions restart ${sessionId}`,
      )
    if (note.queue.length >= QUEUE_MAX)
      throw new AioError('LIMIT', `${QUEUE_MAX} prompts wait for this agent already. Wait for some, or cancel them.`)
    this.#exchange.change(() => {
      transcript.addPrompt(prompt)
      note.queue.push(prompt.id)
      this.#sendNext()
    })
    // Whoever asked is told that it waits: it must not be lost.
    this.#exchange.save()
  }

  /**
   * Cancels a prompt that waits, or the one the agent works on.
   *
   * @returns `prevented` when it never began, `stopping` when the agent was told, `too-late` when nothing was to cancel.
   */
  cancel(promptId?: string): 'prevented' | 'stopping' | 'too-late' {
    const { note, transcript, desk } = this.#exchange
    const { queue, running } = note
    if (promptId !== undefined && queue.includes(promptId)) {
      this.#exchange.change(() => {
        note.queue = queue.filter((id) => id !== promptId)
        transcript.changePrompt(promptId, { state: 'cancelled' })
      })
      return 'prevented'
    }
    if (running === undefined || (promptId !== undefined && promptId !== running.promptId)) return 'too-late'
    this.#exchange.change(() => {
      // The protocol wants every request it still has open answered so.
      for (const { rpcId, questionId } of note.pending) {
        desk.withdraw(questionId)
        this.#exchange.send({ id: rpcId, result: { outcome: { outcome: 'cancelled' } } })
      }
      note.pending = []
      this.#forms.drop(true)
      this.#exchange.send({ method: AGENT_METHODS.session_cancel, params: { sessionId: note.agentSessionId } })
    })
    clearTimeout(this.#cancel)
    this.#cancel = setTimeout(() => this.#closeUnanswered(running.requestId), CANCEL_MS).unref()
    return 'stopping'
  }

  /**
   * Sets one of the agent's own settings, such as its permission mode.
   *
   * @throws AioError NOT_FOUND, NOT_RUNNING.
   */
  setOption(optionId: string, value: string): void {
    const { note } = this.#exchange
    if (note.phase !== 'ready') throw new AioError('NOT_RUNNING', 'The agent is not ready. Try again in a moment.')
    const option = note.head.options.find(({ id }) => id === optionId)
    if (option === undefined || !option.values.some(({ id }) => id === value))
      throw new AioError('NOT_FOUND', `The agent has no setting ${JSON.stringify(optionId)} with that value.`)
    const mode = this.#opening.start?.mode
    this.#exchange.change(() => {
      // A person may make it ask more for good; that it asks less is only ever true for this start of it.
      if (option.category === 'mode' && mode !== undefined && value !== mode.initial) note.asksMore = true
      this.#opening.setOption(optionId, value)
    })
  }

  /** Lets go; the agent works on, and what it says is read by whoever comes next. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopListening()
    clearTimeout(this.#cancel)
    await this.#exchange.pipe?.[Symbol.asyncDispose]()
    this.#exchange[Symbol.dispose]()
  }

  #dropWhatWaits(why: string): void {
    const { note, transcript, desk } = this.#exchange
    const { running, pending } = note
    if (running !== undefined) transcript.changePrompt(running.promptId, { state: 'failed', error: why })
    for (const { questionId } of pending) desk.withdraw(questionId)
    if (running !== undefined || pending.length > 0) transcript.closeTools()
    transcript.endTurn()
    note.running = undefined
    note.pending = []
    this.#forms.drop(false)
  }

  #takeLines(lines: readonly AgentLine[]): void {
    const { note, log, sessionId } = this.#exchange
    for (const { text, offset } of lines) {
      note.offset = offset
      if (text.trim() === '') continue
      const frame = agentFrameSchema.safeParse(parseJson(text))
      // Some agents print other things on the same stream.
      if (frame.success) this.#takeFrame(frame.data)
      else log.debug({ session: sessionId }, 'an agent said something that is no frame')
    }
  }

  #takeFrame(frame: AgentFrame): void {
    const { id, method, params } = frame
    if (method === undefined) {
      if (id != null) this.#takeAnswer(String(id), frame)
    } else if (id == null) {
      if (method === CLIENT_METHODS.session_update) this.#takeUpdate(params)
    } else if (method === CLIENT_METHODS.session_request_permission) this.#takePermission(id, params)
    else if (method === CLIENT_METHODS.elicitation_create) this.#takeForm(id, params)
    else this.#exchange.send({ id, error: { code: METHOD_NOT_FOUND, message: `${method} is not offered.` } })
  }

  #takeUpdate(params: unknown): void {
    const { note, transcript } = this.#exchange
    const update = updateSchema.safeParse(field(params, 'update'))
    if (!update.success) return
    // While it loads an earlier conversation it repeats what is here already.
    if (Object.values(note.requests).includes('load') && isOfTranscript(update.data)) return
    transcript.apply(update.data)
    applyToHead(update.data, note.head)
  }

  #takePermission(rpcId: number | string, params: unknown): void {
    const { note, transcript, desk } = this.#exchange
    const request = permissionRequestSchema.safeParse(params)
    if (!request.success || request.data.options.length === 0) {
      this.#exchange.send({
        id: rpcId,
        error: { code: INVALID_PARAMS, message: 'The request could not be understood.' },
      })
      return
    }
    const questionId = desk.ask(this.#questionOf(rpcId, request.data))
    transcript.askAbout(request.data.toolCall, questionId)
    note.pending.push({ rpcId, questionId, request: request.data })
    this.#answerPending()
  }

  #takeForm(rpcId: number | string, params: unknown): void {
    if (!this.#forms.take(rpcId, params))
      this.#exchange.send({ id: rpcId, error: { code: INVALID_PARAMS, message: 'Only forms can be asked.' } })
  }

  #questionOf(rpcId: number | string, { toolCall: call, options }: PermissionRequest): PermissionQuestion {
    const { sessionId, note } = this.#exchange
    return { sessionId, key: `${note.run} ${rpcId}`, call, options }
  }

  /** Hands over every answer that is there; one that can no longer come counts as a no. */
  #answerPending(): void {
    const { note, desk, pipe } = this.#exchange
    if (pipe === undefined || note.pending.length + note.forms.length === 0) return
    this.#exchange.change(() => {
      this.#forms.answer()
      note.pending = note.pending.flatMap((waiting) => {
        const question = this.#questionOf(waiting.rpcId, waiting.request)
        const answer = desk.answerOf({ ...question, id: waiting.questionId })
        if (answer === undefined) return [waiting]
        if (answer === 'unknown') return [{ ...waiting, questionId: desk.ask(question) }]
        const outcome =
          answer === 'gone' ? { outcome: 'cancelled' } : { outcome: 'selected', optionId: answer.optionId }
        this.#exchange.send({ id: waiting.rpcId, result: { outcome } })
        return []
      })
    })
  }

  #takeAnswer(requestId: string, frame: AgentFrame): void {
    const { requests } = this.#exchange.note
    const kind = requests[requestId]
    if (kind === undefined) return
    delete requests[requestId]
    switch (kind) {
      case 'initialize':
        this.#opening.onInitialized(frame)
        return
      case 'new':
      case 'resume':
      case 'load':
        this.#opening.onOpened(kind, frame)
        this.#sendNext()
        return
      case 'option':
        this.#opening.onOption(frame)
        return
      case 'prompt':
        this.#onPrompted(requestId, frame)
        return
      default:
        kind satisfies never
    }
  }

  #sendNext(): void {
    const { note, store, transcript } = this.#exchange
    const { phase, running, queue } = note
    const promptId = queue[0]
    if (phase !== 'ready' || running !== undefined || promptId === undefined) return
    note.queue = queue.slice(1)
    const entry = transcript.startPrompt(promptId)
    if (entry === undefined) return
    const summary = note.needsSummary ? [summaryOf(store.before(entry.order, 200))] : []
    note.needsSummary = false
    const requestId = this.#exchange.request('prompt', AGENT_METHODS.session_prompt, {
      sessionId: note.agentSessionId,
      prompt: [...summary, entry.text].map((text) => ({ type: 'text', text })),
    })
    note.running = { requestId, promptId }
  }

  #onPrompted(requestId: string, frame: AgentFrame): void {
    const { note, transcript } = this.#exchange
    const { running } = note
    if (running?.requestId !== requestId) return
    clearTimeout(this.#cancel)
    note.running = undefined
    transcript.endTurn()
    if (frame.error !== undefined) {
      transcript.changePrompt(running.promptId, { state: 'failed', error: frame.error.message.slice(0, 2_000) })
      transcript.closeTools()
    } else {
      const { stopReason } = promptedSchema.catch({ stopReason: 'end_turn' }).parse(frame.result)
      const isCancelled = stopReason === 'cancelled'
      transcript.changePrompt(running.promptId, { state: isCancelled ? 'cancelled' : 'done', stopReason })
      if (isCancelled) transcript.closeTools()
    }
    this.#sendNext()
  }

  #closeUnanswered(requestId: string): void {
    const { note, transcript } = this.#exchange
    if (note.running?.requestId !== requestId) return
    const { promptId } = note.running
    this.#exchange.change(() => {
      note.running = undefined
      delete note.requests[requestId]
      transcript.changePrompt(promptId, { state: 'failed', error: 'The agent was told to stop and did not answer.' })
      transcript.closeTools()
      this.#sendNext()
    })
  }
}

function isOfTranscript(update: AgentUpdate): boolean {
  return /_chunk$|^tool_call|^plan$/.test(update.sessionUpdate)
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Told by the caller, as a line that is no frame.
    return undefined
  }
}
