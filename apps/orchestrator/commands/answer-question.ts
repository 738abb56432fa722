import { BUILT_IN_COMMANDS } from '@ai-orchestration/protocol'
import { defineCommand } from '../src/command/define-command.ts'

/** `answer_question`: a person's answer, once per question. */
export const command = defineCommand(
  BUILT_IN_COMMANDS.answer_question,
  async (input, { questions, by: { name, tokenId } }) =>
    await questions.answer(input, { name, ...(tokenId === undefined ? {} : { tokenId }) }),
)
