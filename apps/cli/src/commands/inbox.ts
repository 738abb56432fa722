import { AioError, type Question, type QuestionOption, type RuleScope } from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { inert, table } from '../output/table.ts'
import { ago } from '../output/time.ts'
import { findSessionId } from '../session-id.ts'

/** Characters at the end of an id that may stand for the whole of it; the beginnings of ids are times and much alike. */
const SHORT_ID_CHARS = 6

/** `aio inbox`: what waits for a person. */
export async function showInbox(
  cli: Cli,
  options: { session?: string; project?: string; all?: boolean },
): Promise<void> {
  await using aio = await cli.connect()
  const filter = {
    ...(options.session === undefined ? {} : { sessionId: await findSessionId(aio, options.session) }),
    ...(options.project === undefined ? {} : { projectId: options.project }),
  }
  const states =
    options.all === true ? (['pending', 'answered', 'withdrawn', 'expired'] as const) : (['pending'] as const)
  const lists = await cli.within(Promise.all(states.map((state) => aio.inbox.list.query({ ...filter, state }))))
  const questions = lists.flat().sort((a, b) => (a.id < b.id ? -1 : 1))
  cli.out.result(questions, (all) =>
    all.length === 0
      ? 'Nothing waits for you.'
      : table(
          ['id', 'session', 'kind', 'question', 'age', 'state'],
          all.map((one) => [
            one.id.slice(-SHORT_ID_CHARS),
            one.sessionId,
            one.kind,
            one.title,
            ago(one.createdAt),
            stateText(one),
          ]),
        ),
  )
}

/** `aio approve <id>` and `aio deny <id>`: the answer of that meaning, for once or for good. */
export async function answerQuestion(
  cli: Cli,
  style: 'allow' | 'deny',
  id: string,
  options: { always?: RuleScope; text?: string },
): Promise<void> {
  await answer(cli, id, options.text, (question) => {
    const fitting = question.options.find((option) => option.style === style && option.always === options.always)
    if (fitting !== undefined) return fitting
    const word = style === 'allow' ? 'approved' : 'denied'
    const reach = options.always === undefined ? '' : ` for the whole ${options.always}`
    throw new AioError('INVALID_INPUT', `This question cannot be ${word}${reach}. ${choicesOf(question)}`)
  })
}

/** `aio answer <id> <option>`: any option by its name. */
export async function chooseOption(cli: Cli, id: string, optionId: string, options: { text?: string }): Promise<void> {
  await answer(cli, id, options.text, (question) => {
    const chosen = question.options.find((option) => option.id === optionId)
    if (chosen !== undefined) return chosen
    throw new AioError('INVALID_INPUT', `There is no option ${JSON.stringify(optionId)}. ${choicesOf(question)}`)
  })
}

async function answer(
  cli: Cli,
  id: string,
  text: string | undefined,
  choose: (question: Question) => QuestionOption,
): Promise<void> {
  await using aio = await cli.connect()
  const done = await cli.command(async (commandId) => {
    const question = await findQuestion(aio, id)
    return await aio.inbox.answer.mutate({
      questionId: question.id,
      optionId: choose(question).id,
      commandId,
      ...(text === undefined ? {} : { text }),
    })
  })
  cli.out.result(done, ({ title, options, answer: given }) => {
    const label = options.find((option) => option.id === given?.optionId)?.label ?? given?.optionId ?? ''
    return `${inert(title)} ${inert(label)}.`
  })
}

/** Finds a question by its id or the end of it, also one that no longer waits: its machine then says who answered. */
async function findQuestion(aio: Client, text: string): Promise<Question> {
  const wanted = text.toUpperCase()
  for (const state of ['pending', 'answered', 'withdrawn', 'expired'] as const) {
    const all = await aio.inbox.list.query({ state })
    const found = all.filter(({ id }) => id === wanted || (wanted.length >= SHORT_ID_CHARS && id.endsWith(wanted)))
    if (found.length > 1)
      throw new AioError('CONFLICT', `${found.length} questions end in ${wanted}. Give the whole id.`)
    if (found[0] !== undefined) return found[0]
  }
  throw new AioError('NOT_FOUND', `There is no question ${JSON.stringify(text)}. See: aio inbox`)
}

function choicesOf({ id, options }: Question): string {
  const lines = options.map(
    (option) => `  aio answer ${id.slice(-SHORT_ID_CHARS)} ${option.id}   ${inert(option.label)}`,
  )
  return `Choose one of:\n${lines.join('\n')}`
}

function stateText({ state, answer: given }: Question): string {
  return given === undefined ? state : `${given.optionId} by ${given.by.name}`
}
