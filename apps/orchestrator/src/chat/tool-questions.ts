import { LIMITS, parseSessionId, type Question } from '@ai-orchestration/protocol'
import type { QuestionDraft, Questions } from '../question/questions.ts'
import type { Rules } from '../question/rules.ts'
import type { FieldAnswer } from './form.ts'
import type { PermissionDesk, PermissionQuestion, PersonQuestion } from './permission-desk.ts'

/** What stands before the agent's option in the id of a question that a rule has answered. */
const BY_RULE = 'rule:'
/** Most of what a tool was called with that a question shows, in characters. */
const INPUT_MAX_CHARS = 8_000

/** Ids of what can be picked of an agent's own question, which count its choices, and of saying nothing. */
const CHOICE = 'choice-'
const SKIP = 'skip'
const CHOICES_MAX = 15

/** Asks people for agents: a rule answers at once, everything else goes to the inbox. */
export class ToolQuestions implements PermissionDesk {
  readonly #questions: Questions
  readonly #rules: Rules

  constructor(services: { questions: Questions; rules: Rules }) {
    this.#questions = services.questions
    this.#rules = services.rules
  }

  ask(question: PermissionQuestion): string {
    const { sessionId, call } = question
    const verdict = this.#rules.find(sessionId, { kind: 'tool', tool: toolOf(question) })?.verdict
    const option = verdict === undefined ? undefined : optionFor(question, verdict)
    if (option !== undefined) return BY_RULE + option
    const known = this.#questions
      .list()
      .find((asked) => asked.kind === 'tool' && asked.sessionId === sessionId && asked.detail.key === question.key)
    return (known ?? this.#questions.ask(draftOf(question, call.title ?? toolOf(question)))).id
  }

  answerOf(question: PermissionQuestion & { id: string }): { optionId: string } | 'gone' | 'unknown' | undefined {
    const { id } = question
    if (id.startsWith(BY_RULE)) return { optionId: id.slice(BY_RULE.length) }
    const asked = this.#questions.get(id)
    if (asked === undefined) return 'unknown'
    switch (asked.state) {
      case 'pending':
        return undefined
      case 'answered':
        return chosen(asked, question)
      case 'withdrawn':
      case 'expired':
        return 'gone'
      default:
        return asked.state satisfies never
    }
  }

  askPerson(question: PersonQuestion): string {
    const known = this.#questions
      .list()
      .find(
        (asked) =>
          asked.kind === 'agent' && asked.sessionId === question.sessionId && asked.detail.key === question.key,
      )
    return (known ?? this.#questions.ask(personDraft(question))).id
  }

  answerOfPerson({ id }: PersonQuestion & { id: string }): FieldAnswer | 'gone' | 'unknown' | undefined {
    const asked = this.#questions.get(id)
    if (asked === undefined) return 'unknown'
    if (asked.state === 'pending') return undefined
    if (asked.answer === undefined) return 'gone'
    const { optionId, text } = asked.answer
    const choice = optionId.startsWith(CHOICE) ? Number(optionId.slice(CHOICE.length)) : undefined
    return { choice, text: optionId === SKIP ? undefined : text }
  }

  withdraw(questionId: string): void {
    this.#questions.withdraw(({ id }) => id === questionId)
  }

  onSettled(listener: () => void): () => void {
    return this.#questions.onChange(({ type }) => {
      if (type !== 'question_asked') listener()
    })
  }
}

function personDraft({ sessionId, key, text, choices, takesText }: PersonQuestion): QuestionDraft {
  const picks = choices.slice(0, CHOICES_MAX).map((label, index) => ({
    ...{ id: `${CHOICE}${index}`, label: label.slice(0, LIMITS.titleMaxChars), style: 'neutral' as const },
  }))
  const own = takesText ? [{ id: 'own', label: 'In my own words', style: 'neutral' as const }] : []
  return {
    kind: 'agent',
    sessionId,
    projectId: parseSessionId(sessionId)?.projectId ?? sessionId,
    title: (text.trim() || 'The agent asks something.').slice(0, LIMITS.questionTitleMaxChars),
    detail: { text: text.slice(0, LIMITS.questionTextMaxChars), takesText, key: key.slice(0, 200) },
    options: [...picks, ...own, { id: SKIP, label: 'Skip', style: 'deny' }],
  }
}

/** What rules go by: the agent's own name of the tool, or the kind of thing it does. */
function toolOf({ call }: PermissionQuestion): string {
  return (call.name ?? call.kind ?? 'other').slice(0, 200)
}

function optionFor({ options }: PermissionQuestion, verdict: 'allow' | 'deny'): string | undefined {
  const kinds = verdict === 'allow' ? ['allow_once', 'allow_always'] : ['reject_once', 'reject_always']
  return kinds.flatMap((kind) => options.filter((option) => option.kind === kind)).at(0)?.optionId
}

/** The agent's own options, and ours that make a rule; those of agents can have any id, so ours count them. */
function draftOf(question: PermissionQuestion, title: string): QuestionDraft {
  const { sessionId, call, options } = question
  const tool = toolOf(question)
  const own = options.slice(0, 10).map(({ name, kind }, index) => ({
    id: `option-${index}`,
    label: name.slice(0, LIMITS.titleMaxChars),
    style: kind.startsWith('allow') ? ('allow' as const) : ('deny' as const),
  }))
  const canAllow = optionFor(question, 'allow') !== undefined
  const always = canAllow
    ? (['session', 'project'] as const).map((scope) => ({
        ...{ id: `always-${scope}`, style: 'allow' as const, always: scope },
        label: `Always allow ${tool.slice(0, 100)} in this ${scope}`,
      }))
    : []
  const locations = (call.locations ?? [])
    .slice(0, 20)
    .map(({ path, line }) => ({ path: path.slice(0, 4_096), ...(line == null ? {} : { line }) }))
  return {
    kind: 'tool',
    sessionId,
    projectId: parseSessionId(sessionId)?.projectId ?? sessionId,
    title: (title.trim() || tool).slice(0, LIMITS.questionTitleMaxChars),
    detail: {
      ...{ toolCallId: call.toolCallId.slice(0, 200), tool, key: question.key },
      ...(call.rawInput === undefined ? {} : { input: shortened(call.rawInput) }),
      ...(locations.length === 0 ? {} : { locations }),
    },
    options: [...own, ...always],
  }
}

function shortened(input: unknown): unknown {
  const text = JSON.stringify(input) ?? ''
  return text.length <= INPUT_MAX_CHARS ? input : `${text.slice(0, INPUT_MAX_CHARS)}…`
}

function chosen(asked: Question, question: PermissionQuestion): { optionId: string } | 'gone' {
  const picked = asked.answer?.optionId
  const option = asked.options.find(({ id }) => id === picked)
  if (option === undefined) return 'gone'
  if (option.always !== undefined) {
    const optionId = optionFor(question, option.style === 'allow' ? 'allow' : 'deny')
    return optionId === undefined ? 'gone' : { optionId }
  }
  const optionId = question.options[Number(option.id.replace('option-', ''))]?.optionId
  return optionId === undefined ? 'gone' : { optionId }
}
