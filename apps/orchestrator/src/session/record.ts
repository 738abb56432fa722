import { readFile } from 'node:fs/promises'
import { AioError, describeIssues, sessionSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { writeFileDurably } from '../disk/write-file-durably.ts'

/**
 * A session as its bundle's `session.json` holds it: what clients see, and what only this machine needs to find the
 * process again.
 */
export const recordSchema = z.object({
  session: sessionSchema,
  /**
   * `preparing`: nothing ever ran in it, so it may be taken apart; `launched`: it may hold work; `ran`: something has run
   * in it, so that it is never taken apart, whatever is found of it.
   */
  phase: z.enum(['preparing', 'launched', 'ran']),
  /** True when its branch was made for it, and may go with it as long as it holds nothing new. */
  isOwnBranch: z.boolean(),
  /** Kernel boot the process belongs to: a pid of another boot means nothing. */
  bootId: z.string().optional(),
  /** PID 1 of the container as the host sees it, with its start time in clock ticks, against reuse. */
  process: z.object({ pid: z.number().int(), startTime: z.string() }).optional(),
  /** First id of its own range of user ids on the host; the common range when absent. */
  uidBase: z.number().int().optional(),
  /** Control group of a container that waited before it was the session's; named like the session's when absent. */
  group: z.string().optional(),
  /** Which gateway is attached to its network, if any. */
  gateway: z.string().optional(),
  /** How its chat begins: the agent's own permission mode, the one that asks, and the conversation it goes on with. */
  chat: z
    .object({
      mode: z.object({ initial: z.string(), asking: z.string() }).optional(),
      conversation: z.string().optional(),
    })
    .optional(),
  /** The agent's own name of its conversation, with which it goes on when it is started again, in either interface. */
  conversation: z.string().optional(),
})

/** See {@link recordSchema}. */
export type SessionRecord = z.output<typeof recordSchema>

/**
 * Reads a record; one that is cut short or damaged is an error, never a session.
 *
 * @throws AioError NOT_FOUND when there is none; INVALID_INPUT that says what is wrong with it.
 */
export async function readRecord(path: string): Promise<SessionRecord> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new AioError('NOT_FOUND', `${path} cannot be read.`, { cause: error })
  }
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw new AioError('INVALID_INPUT', `${path} is not valid JSON; it may have been cut short.`, { cause: error })
  }
  const parsed = recordSchema.safeParse(data)
  if (!parsed.success) throw new AioError('INVALID_INPUT', `${path} is not valid. ${describeIssues(parsed.error)}`)
  return parsed.data
}

/** Writes a record so that a crash leaves the old one or the new one (D-5). */
export async function writeRecord(path: string, record: SessionRecord): Promise<void> {
  await writeFileDurably(path, `${JSON.stringify(record, undefined, 2)}\n`, 0o600)
}
