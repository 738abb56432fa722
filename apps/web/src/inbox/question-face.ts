import type { Question, QuestionOption } from '@ai-orchestration/protocol'
import { inertText } from '../code/inert-text.ts'

/** What a question shows: what is wanted in two or three words, and exactly what. */
export interface QuestionFace {
  /** Such as `Run a command`. */
  verb: string
  /** Shown in the code box; absent when `text` says it all. */
  exact: { sign: '$' | 'host' | 'file' | ''; text: string; note?: string } | undefined
  /** A question in words. */
  text: string | undefined
  /** Everything the tool is to be called with, as JSON, for those who want to see it all. */
  input: string | undefined
}

/** Puts a question into words. What an agent wrote is inert in all of them. */
export function faceOfQuestion(question: Question): QuestionFace {
  switch (question.kind) {
    case 'tool':
      return toolFace(question)
    case 'egress': {
      const { host, port, protocol } = question.detail
      return {
        verb: 'Reach a new host',
        exact: {
          sign: 'host',
          text: inertText(host),
          note: `port ${port}${protocol === 'http' ? ', unencrypted' : ''}`,
        },
        ...{ text: undefined, input: undefined },
      }
    }
    case 'agent':
      return {
        ...{ verb: 'Answer a question', exact: undefined, input: undefined },
        text: inertText(question.detail.text),
      }
    case 'budget': {
      const { reached, budget, usage, scope } = question.detail
      const used: Record<typeof reached, string> = {
        tokens: `${usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens} of ${budget.tokens ?? 0} tokens`,
        costUsd: `$${(usage.costUsd ?? 0).toFixed(2)} of $${(budget.costUsd ?? 0).toFixed(2)}`,
        turns: `${usage.turns} of ${budget.turns ?? 0} turns`,
        minutes: `${budget.minutes ?? 0} minutes`,
      }
      return {
        ...{ verb: 'Budget used up', exact: undefined, input: undefined },
        text: `The ${scope} has used ${used[reached]}. The session waits, frozen.`,
      }
    }
    default:
      return question satisfies never
  }
}

function toolFace(question: Extract<Question, { kind: 'tool' }>): QuestionFace {
  const { detail } = question
  const title = inertText(question.title).replaceAll('`', '')
  const tool = inertText(detail.tool)
  const command = textIn(detail.input, 'command') ?? textIn(detail.input, 'cmd')
  const path =
    textIn(detail.input, 'file_path') ?? textIn(detail.input, 'path') ?? detail.locations?.[0]?.path ?? undefined
  const url = textIn(detail.input, 'url')
  const note = textIn(detail.input, 'description')
  // A command and its description are all there is to see.
  const isShown = command !== undefined && keysOf(detail.input).every((key) => /^(command|cmd|description)$/.test(key))
  const all = detail.input === undefined || isShown ? undefined : inertText(JSON.stringify(detail.input, undefined, 2))
  const about = { text: undefined, input: all }
  const noted = note === undefined ? {} : { note: inertText(note) }
  if (command !== undefined || /^(bash|execute|shell|run)/i.test(tool))
    return { ...about, verb: 'Run a command', exact: { sign: '$', text: inertText(command ?? title), ...noted } }
  if (url !== undefined) return { ...about, verb: 'Fetch a page', exact: { sign: 'host', text: inertText(url) } }
  const verb = FILE_VERBS.find(([pattern]) => pattern.test(tool))?.[1]
  if (verb !== undefined)
    return { ...about, verb, exact: { sign: 'file', text: path === undefined ? title : inertText(path) } }
  return { ...about, verb: `Use ${tool}`, exact: { sign: '', text: title, ...noted } }
}

const FILE_VERBS: readonly (readonly [RegExp, string])[] = [
  [/^(edit|multi_?edit|str_replace)/i, 'Edit a file'],
  [/^write/i, 'Write a file'],
  [/^read/i, 'Read a file'],
  [/^delete/i, 'Delete a file'],
  [/^move/i, 'Move a file'],
]

/** The ways to answer, by their place on a card. */
export interface AnswerPlaces {
  /** Allows this time only. */
  once: QuestionOption | undefined
  /** Allow it for good, the narrowest first. */
  always: readonly QuestionOption[]
  deny: QuestionOption | undefined
  /** All that has no place of its own. */
  others: readonly QuestionOption[]
}

/** Finds the place of each way to answer. */
export function placesOf({ options }: Pick<Question, 'options'>): AnswerPlaces {
  const once = options.find((option) => option.style === 'allow' && option.always === undefined)
  const deny = options.find((option) => option.style === 'deny' && option.always === undefined)
  const always = options.filter((option) => option.style === 'allow' && option.always !== undefined)
  const others = options.filter((option) => option !== once && option !== deny && !always.includes(option))
  return { once, always, deny, others }
}

/** An answer as a past event, such as `Allowed once`; what no one answered says so. */
export function outcomeOf(question: Question): string {
  switch (question.state) {
    case 'pending':
      return 'Waits'
    case 'withdrawn':
      return 'No longer needed'
    case 'expired':
      return 'Its time was over'
    case 'answered': {
      const option = question.options.find(({ id }) => id === question.answer?.optionId)
      return option === undefined ? 'Answered' : answeredWith(question, option)
    }
    default:
      return question.state satisfies never
  }
}

/** What choosing an option amounts to, as a past event. */
export function answeredWith({ kind }: Pick<Question, 'kind'>, option: QuestionOption): string {
  if (kind === 'agent' || kind === 'budget' || option.style === 'neutral') return inertText(option.label)
  const word = option.style === 'allow' ? 'Allowed' : 'Denied'
  return option.always === undefined
    ? `${word}${option.style === 'allow' ? ' once' : ''}`
    : `Always ${word.toLowerCase()} in this ${option.always}`
}

function keysOf(input: unknown): string[] {
  return typeof input === 'object' && input !== null ? Object.keys(input) : ['']
}

function textIn(input: unknown, name: string): string | undefined {
  if (typeof input !== 'object' || input === null || !Object.hasOwn(input, name)) return undefined
  const value: unknown = Reflect.get(input, name)
  return typeof value === 'string' && value.trim() !== '' ? value : undefined
}
