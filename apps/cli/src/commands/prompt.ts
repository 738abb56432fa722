import { AioError, type ChatEntry } from '@ai-orchestration/protocol'
import type { Chat } from '@ai-orchestration/sdk'
import type { Cli } from '../cli.ts'
import { chatText } from '../output/chat-text.ts'
import { inert, inertLines } from '../output/table.ts'
import { findSessionId } from '../session-id.ts'
import { readStdin } from '../stdin.ts'

/**
 * `aio prompt <session> …`: asks the agent and prints its answer as it comes. Ctrl-C stops waiting; the agent works on.
 *
 * @throws AioError EXEC_ERROR when the agent could not answer.
 */
export async function promptSession(
  cli: Cli,
  session: string,
  words: string[],
  options: { wait?: boolean },
): Promise<void> {
  const text = words.length === 0 || (words.length === 1 && words[0] === '-') ? await readStdin() : words.join(' ')
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  await using chat = await cli.within(aio.chat(sessionId))
  const promptId = await cli.within(chat.prompt(text))
  if (options.wait === false) {
    cli.out.result({ promptId }, () => `Asked. Follow with: aio logs ${sessionId} --chat --follow`)
    return
  }
  await cli.within(cli.out.isJson ? printAsJson(cli, chat, promptId) : printAsText(cli, chat, promptId))
}

async function printAsJson(cli: Cli, chat: Chat, promptId: string): Promise<void> {
  for await (const item of chat) {
    const prompt = promptOf(chat, promptId)
    if (prompt === undefined) continue
    if (item.type !== 'entry' || item.entry.order >= prompt.order) cli.out.result(item, () => '')
    if (isOver(prompt)) return assertAnswered(prompt)
  }
}

async function printAsText(cli: Cli, chat: Chat, promptId: string): Promise<void> {
  let isOpen = false
  const told = new Set<string>()
  const line = (text: string) => {
    process.stdout.write(`${isOpen ? '\n' : ''}${text}\n`)
    isOpen = false
  }
  for await (const item of chat) {
    const prompt = promptOf(chat, promptId)
    if (prompt === undefined) continue
    if (item.type === 'append') {
      const entry = chat.view.get(item.id)
      if (entry !== undefined && entry.order > prompt.order && entry.type === 'message' && entry.role === 'agent') {
        process.stdout.write(inertLines(item.text))
        isOpen = true
      }
    } else if (item.type === 'entry' && item.entry.order > prompt.order) {
      const { entry } = item
      if (entry.type === 'message' && entry.role === 'agent') {
        if (isOpen) process.stdout.write('\n')
        process.stdout.write(inertLines(entry.text))
        isOpen = true
      } else if (entry.type === 'tool' ? isToldNow(entry, told) : entry.type === 'notice') line(chatText(entry))
      if (entry.type === 'tool' && entry.questionId !== undefined && !told.has(entry.questionId)) {
        told.add(entry.questionId)
        cli.out.note(
          `It asks: ${inert(entry.title)}. Answer with: aio approve ${entry.questionId}, or aio deny ${entry.questionId}`,
        )
      }
    }
    if (isOver(prompt)) {
      if (isOpen) process.stdout.write('\n')
      return assertAnswered(prompt)
    }
  }
}

/** A call is told when it begins to be something, and when it has ended. */
function isToldNow(entry: Extract<ChatEntry, { type: 'tool' }>, told: Set<string>): boolean {
  const isEnded = entry.status === 'completed' || entry.status === 'failed'
  const key = `${entry.id} ${isEnded}`
  if (told.has(key) || entry.title === '') return false
  told.add(key)
  return isEnded
}

type Prompt = Extract<ChatEntry, { type: 'prompt' }>

function promptOf(chat: Chat, promptId: string): Prompt | undefined {
  const entry = chat.view.get(promptId)
  return entry?.type === 'prompt' ? entry : undefined
}

function isOver({ state }: Prompt): boolean {
  return state === 'done' || state === 'cancelled' || state === 'failed'
}

function assertAnswered({ state, error, stopReason }: Prompt): void {
  if (state === 'failed')
    throw new AioError('EXEC_ERROR', `The agent could not answer: ${error ?? 'it did not say why.'}`)
  if (state === 'cancelled') throw new AioError('CANCELLED', 'The prompt was cancelled.')
  if (stopReason === 'refusal') throw new AioError('EXEC_ERROR', 'The agent refused to go on with this prompt.')
}
