import { AGENT_METHODS, PROTOCOL_VERSION } from '@agentclientprotocol/sdk'
import { VERSION } from '@ai-orchestration/protocol'
import { type AgentFrame, initializedSchema, type SessionOpened, sessionOpenedSchema } from './agent-frames.ts'
import type { PipeFiles } from './agent-pipe.ts'
import type { Exchange } from './exchange.ts'
import { MODE_OPTION } from './mode-option.ts'
import { chatOptions } from './options.ts'

/** How a conversation's agent is started. */
export interface ConversationStart {
  /** Names this start; the same after a restart of the orchestrator. */
  run: string
  files: PipeFiles
  /** The workspace inside the container. */
  cwd: string
  /** The agent's own permission mode to begin with, and the one that asks; not set when absent. */
  mode?: { initial: string; asking: string } | undefined
  /** The agent's own name of the conversation to go on with, when it is not the last one held here. */
  conversation?: string | undefined
}

/** How a session of the agent's can be opened, best first when it was open before. */
type How = 'resume' | 'load' | 'new'

/** The way from an agent that has just been started to one that takes prompts, and its settings. */
export class Opening {
  readonly #exchange: Exchange
  start: ConversationStart | undefined

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  /** Begins with a new start of the agent. */
  begin(): void {
    this.#exchange.request('initialize', AGENT_METHODS.initialize, {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: {
        fs: { readTextFile: false, writeTextFile: false },
        terminal: false,
        elicitation: { form: {} },
      },
      clientInfo: { name: 'ai-orchestration', version: VERSION },
    })
  }

  /** Goes on with what it was before, when there was something. */
  onInitialized(frame: AgentFrame): void {
    const { note } = this.#exchange
    const initialized = initializedSchema.safeParse(frame.result)
    if (frame.error !== undefined || !initialized.success) {
      this.#fail(`The agent could not be spoken to: ${frame.error?.message ?? 'its answer was not understood.'}`)
      return
    }
    const { agentCapabilities } = initialized.data
    note.canLoad = agentCapabilities?.loadSession === true
    if (note.agentSessionId === undefined) this.#open('new')
    else if (agentCapabilities?.sessionCapabilities?.resume != null) this.#open('resume')
    else this.#open(note.canLoad ? 'load' : 'new')
  }

  /** Takes up the opened session; what could not be opened is tried in the next way. */
  onOpened(how: How, frame: AgentFrame): void {
    const { note } = this.#exchange
    const opened = sessionOpenedSchema.safeParse(frame.result ?? {})
    if (frame.error !== undefined || !opened.success) {
      if (how === 'new')
        this.#fail(`The agent could not begin: ${frame.error?.message ?? 'its answer was not understood.'}`)
      else this.#open(how === 'resume' && note.canLoad ? 'load' : 'new')
      return
    }
    if (how === 'new') this.#forget(opened.data)
    note.phase = 'ready'
    const options = chatOptions(opened.data)
    if (options.length > 0) note.head.options = options
    this.#setMode()
  }

  /** Sets one of the agent's settings. */
  setOption(optionId: string, value: string): void {
    const { note } = this.#exchange
    const sessionId = note.agentSessionId
    if (optionId === MODE_OPTION)
      this.#exchange.request('option', AGENT_METHODS.session_set_mode, { sessionId, modeId: value })
    else
      this.#exchange.request('option', AGENT_METHODS.session_set_config_option, {
        ...{ sessionId, configId: optionId, value },
      })
    note.head.options = note.head.options.map((option) => (option.id === optionId ? { ...option, value } : option))
  }

  /** Takes the answer to a setting. */
  onOption(frame: AgentFrame): void {
    const { note, transcript } = this.#exchange
    if (frame.error !== undefined) transcript.notice('warning', `The agent refused a setting: ${frame.error.message}`)
    const answer = sessionOpenedSchema.safeParse(frame.result ?? {})
    const options = answer.success ? chatOptions(answer.data) : []
    if (options.length > 0) note.head.options = options
  }

  #open(how: How): void {
    const { agentSessionId: sessionId } = this.#exchange.note
    const where = { cwd: this.start?.cwd, mcpServers: [] }
    switch (how) {
      case 'new':
        this.#exchange.request(how, AGENT_METHODS.session_new, where)
        return
      case 'resume':
        this.#exchange.request(how, AGENT_METHODS.session_resume, { sessionId, ...where })
        return
      case 'load':
        this.#exchange.request(how, AGENT_METHODS.session_load, { sessionId, ...where })
        return
      default:
        how satisfies never
    }
  }

  #forget({ sessionId }: SessionOpened): void {
    const { note, transcript } = this.#exchange
    const isForgotten = note.agentSessionId !== undefined
    note.agentSessionId = sessionId
    note.needsSummary = isForgotten
    if (isForgotten) transcript.notice('warning', 'The agent has forgotten this conversation. It gets a summary of it.')
  }

  /** Its own default may let it do more than it was given. */
  #setMode(): void {
    const mode = this.start?.mode
    if (mode === undefined) return
    const { note } = this.#exchange
    const value = note.asksMore ? mode.asking : mode.initial
    const option = note.head.options.find(({ category }) => category === 'mode')
    if (option !== undefined && option.value !== value) this.setOption(option.id, value)
  }

  #fail(why: string): void {
    const { note, transcript } = this.#exchange
    note.phase = 'ended'
    transcript.notice('error', why)
    for (const id of note.queue) transcript.changePrompt(id, { state: 'failed', error: why.slice(0, 2_000) })
    note.queue = []
  }
}
