import type { ChatEntry, ChatItem, ToolContent } from '@ai-orchestration/protocol'
import type { AgentToolCall, AgentToolContent, AgentUpdate, ContentBlock } from './agent-frames.ts'
import type { ChatStore, NewEntry } from './chat-store.ts'

/** Most characters kept of one message, so that an entry fits a frame of the stream. */
const TEXT_MAX_CHARS = 200_000
/** Most characters kept of one piece of a tool call's result, and pieces of one call. */
const CONTENT_MAX_CHARS = 50_000
const CONTENT_MAX_PIECES = 20
const INPUT_MAX_CHARS = 20_000
const TITLE_MAX_CHARS = 1_000
const LOCATIONS_MAX = 100
const PLAN_MAX_ITEMS = 200

type Message = Extract<ChatEntry, { type: 'message' }>
type Tool = Extract<ChatEntry, { type: 'tool' }>
type Prompt = Extract<ChatEntry, { type: 'prompt' }>

/** Which message is growing; it is over when anything else happens. */
export interface OpenMessage {
  id: string
  role: Message['role']
  messageId: string | undefined
}

/** Turns what an agent says into the entries of a conversation, and tells of each change. */
export class Transcript {
  /** The message that is growing, if any; the owner keeps it over a restart. */
  open: OpenMessage | undefined
  readonly #store: ChatStore
  readonly #now: () => Date
  readonly #tell: (item: ChatItem) => void
  #planId: string | undefined

  constructor(store: ChatStore, now: () => Date, tell: (item: ChatItem) => void) {
    this.#store = store
    this.#now = now
    this.#tell = tell
  }

  /** Adds a prompt that waits. */
  addPrompt(prompt: { id: string; text: string; by: string }): Prompt {
    const entry = { ...prompt, type: 'prompt' as const, state: 'queued' as const, at: this.#at() }
    const known = this.#store.get(prompt.id)
    if (known?.type === 'prompt') return known
    this.#add(entry)
    return { ...entry, order: this.#orderOf(prompt.id) }
  }

  /** Lets a prompt begin: from now on it stands behind what was said while it waited. */
  startPrompt(id: string): Prompt | undefined {
    const entry = this.#store.get(id)
    if (entry?.type !== 'prompt') return undefined
    const started: Prompt = { ...entry, state: 'running' }
    const { order } = this.#store.putAtEnd(started)
    this.#tell({ type: 'entry', rev: this.#store.rev, entry: { ...started, order } })
    return { ...started, order }
  }

  /** Moves a prompt on. */
  changePrompt(id: string, change: Partial<Pick<Prompt, 'state' | 'stopReason' | 'error'>>): void {
    const entry = this.#store.get(id)
    if (entry?.type === 'prompt') this.#put({ ...entry, ...change })
  }

  /** Says something of the platform's own. */
  notice(level: 'info' | 'warning' | 'error', text: string): void {
    this.open = undefined
    this.#add({ type: 'notice', id: this.#newId(), at: this.#at(), level, text: text.slice(0, TEXT_MAX_CHARS) })
  }

  /** Connects a tool call with the question it waits for; makes it known when it was not. */
  askAbout(call: AgentToolCall, questionId: string): void {
    this.#applyTool(call)
    const entry = this.#store.get(toolId(call.toolCallId))
    if (entry?.type === 'tool') this.#put({ ...entry, questionId })
  }

  /** Ends what cannot go on, because the agent has ended or was cancelled. */
  closeTools(): void {
    this.open = undefined
    for (const entry of this.#store.before(undefined, 200))
      if (entry.type === 'tool' && (entry.status === 'pending' || entry.status === 'in_progress'))
        this.#put({ ...entry, status: 'failed' })
  }

  /** A turn is over: what comes next is another message. */
  endTurn(): void {
    this.open = undefined
    this.#planId = undefined
  }

  /** Takes one update of the agent. */
  apply(update: AgentUpdate): void {
    switch (update.sessionUpdate) {
      case 'agent_message_chunk':
        this.#applyText('agent', update.content, update.messageId ?? undefined)
        return
      case 'agent_thought_chunk':
        this.#applyText('thought', update.content, update.messageId ?? undefined)
        return
      case 'tool_call':
      case 'tool_call_update':
        this.#applyTool(update)
        return
      case 'plan':
        this.#applyPlan(update.entries)
        return
      // Our own prompt, which is in the conversation already.
      case 'user_message_chunk':
      // Not of the conversation but of how it stands.
      case 'available_commands_update':
      case 'current_mode_update':
      case 'config_option_update':
      case 'session_info_update':
      case 'usage_update':
        return
      default:
        update satisfies never
    }
  }

  #applyText(role: Message['role'], content: ContentBlock, messageId: string | undefined): void {
    const text = textOf(content)
    if (text === '') return
    const { open } = this
    const grows = open !== undefined && open.role === role && open.messageId === messageId
    const entry = grows ? this.#store.get(open.id) : undefined
    if (entry?.type !== 'message') {
      const id = this.#newId()
      this.open = { id, role, messageId }
      this.#add({ type: 'message', id, role, at: this.#at(), ...bounded(text, TEXT_MAX_CHARS) })
      return
    }
    const room = TEXT_MAX_CHARS - entry.text.length
    if (text.length > room) {
      const omittedChars = (entry.omittedChars ?? 0) + text.length - room
      this.#put({ ...entry, text: entry.text + text.slice(0, room), omittedChars })
      return
    }
    this.#store.put({ ...entry, text: entry.text + text })
    this.#tell({ type: 'append', rev: this.#store.rev, id: entry.id, text })
  }

  #applyTool(call: AgentToolCall): void {
    this.open = undefined
    const id = toolId(call.toolCallId)
    const known = this.#store.get(id)
    const before: Omit<Tool, 'order'> =
      known?.type === 'tool'
        ? known
        : { type: 'tool', id, at: this.#at(), title: '', kind: 'other', status: 'pending', content: [], locations: [] }
    const input = call.rawInput === undefined ? undefined : inputText(call.rawInput)
    const after = {
      ...before,
      ...(call.title == null ? {} : { title: call.title.slice(0, TITLE_MAX_CHARS) }),
      ...(call.name == null ? {} : { name: call.name.slice(0, 200) }),
      ...(call.kind == null ? {} : { kind: call.kind.slice(0, 40) }),
      ...(call.status == null ? {} : { status: call.status }),
      ...(input === undefined ? {} : { input }),
      ...(call.content == null ? {} : { content: toolContent(call.content) }),
      ...(call.locations == null
        ? {}
        : {
            locations: call.locations
              .slice(0, LOCATIONS_MAX)
              .map(({ path, line }) => ({ path: path.slice(0, 4_096), ...(line == null ? {} : { line }) })),
          }),
    }
    if (known?.type === 'tool') this.#put({ ...after, order: known.order })
    else this.#add(after)
  }

  #applyPlan(entries: { content: string; priority: 'high' | 'medium' | 'low'; status: PlanStatus }[]): void {
    const items = entries.slice(0, PLAN_MAX_ITEMS).map(({ content, priority, status }) => ({
      text: content.slice(0, TITLE_MAX_CHARS),
      priority,
      status,
    }))
    const known = this.#planId === undefined ? undefined : this.#store.get(this.#planId)
    if (known?.type === 'plan') {
      this.#put({ ...known, items })
      return
    }
    this.open = undefined
    this.#planId = this.#newId()
    this.#add({ type: 'plan', id: this.#planId, at: this.#at(), items })
  }

  #add(entry: NewEntry): void {
    const placed = this.#store.add(entry)
    this.#tell({ type: 'entry', rev: this.#store.rev, entry: placed })
  }

  #put(entry: ChatEntry): void {
    this.#store.put(entry)
    this.#tell({ type: 'entry', rev: this.#store.rev, entry })
  }

  // Made of the place it will have, so that what is read again after a crash gets the id it had.
  #newId(): string {
    return `e${this.#store.nextOrder}`
  }

  #orderOf(id: string): number {
    return this.#store.get(id)?.order ?? 0
  }

  #at(): string {
    return this.#now().toISOString()
  }
}

type PlanStatus = 'pending' | 'in_progress' | 'completed'

function toolId(toolCallId: string): string {
  return `tool-${toolCallId.slice(0, 200)}`
}

function bounded(text: string, max: number): { text: string; omittedChars?: number } {
  return text.length <= max ? { text } : { text: text.slice(0, max), omittedChars: text.length - max }
}

function textOf(content: ContentBlock): string {
  switch (content.type) {
    case 'text':
      return content.text ?? ''
    case 'resource_link':
      return `[${content.name ?? 'link'}](${content.uri ?? ''})`
    default:
      return `[${content.type}]`
  }
}

function toolContent(pieces: readonly AgentToolContent[]): ToolContent[] {
  const kept = pieces.slice(0, CONTENT_MAX_PIECES).map((piece): ToolContent => {
    if (piece.type === 'diff' && piece.path != null && piece.newText != null) {
      const newText = piece.newText.slice(0, CONTENT_MAX_CHARS)
      const oldText = piece.oldText?.slice(0, CONTENT_MAX_CHARS)
      const omittedChars = piece.newText.length - newText.length + (piece.oldText?.length ?? 0) - (oldText?.length ?? 0)
      return {
        ...{ type: 'diff', path: piece.path.slice(0, 4_096), newText },
        ...(oldText === undefined ? {} : { oldText }),
        ...(omittedChars === 0 ? {} : { omittedChars }),
      }
    }
    if (piece.type === 'content' && piece.content?.type === 'text')
      return { type: 'text', ...bounded(piece.content.text ?? '', CONTENT_MAX_CHARS) }
    return { type: 'omitted', what: (piece.content?.type ?? piece.type).slice(0, 40) }
  })
  const left = pieces.length - kept.length
  return left === 0 ? kept : [...kept, { type: 'omitted', what: `${left} more` }]
}

function inputText(input: unknown): string {
  const text = JSON.stringify(input, undefined, 2) ?? ''
  return text.length <= INPUT_MAX_CHARS ? text : `${text.slice(0, INPUT_MAX_CHARS)}…`
}
