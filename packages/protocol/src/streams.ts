import { z } from 'zod'
import { type ChatItem, chatItemSchema, revisionSchema } from './chat.ts'
import { sessionExitSchema, sessionStatsSchema } from './domain.ts'
import { wireErrorSchema } from './errors.ts'
import { projectIdSchema, sessionIdSchema, streamIdSchema } from './ids.ts'
import { LIMITS } from './limits.ts'
import { secretInfoSchema, secretValueSchema, variableNameSchema } from './project-settings.ts'

/** Columns and rows of a terminal, in cells. */
export const terminalSizeSchema = z.object({
  cols: z.number().int().min(2).max(LIMITS.terminalColsMax),
  rows: z.number().int().min(2).max(LIMITS.terminalRowsMax),
})
export type TerminalSize = z.infer<typeof terminalSizeSchema>

/** A byte offset into a session's whole terminal output. */
export const offsetSchema = z.number().int().min(0)

/** What a terminal viewer receives, in order. `offset` is the byte offset after the item; resume with it. */
export const terminalItemSchema = z.discriminatedUnion('type', [
  /** Reset the screen, then write `data`: it paints the present screen and its modes. Always the first item of a fresh attach. */
  z.object({ type: z.literal('replay'), offset: offsetSchema, cols: z.number(), rows: z.number(), data: z.string() }),
  z.object({ type: z.literal('data'), offset: offsetSchema, data: z.string() }),
  /** So many bytes were skipped because this viewer was too far behind; a `replay` follows. */
  z.object({ type: z.literal('truncated'), offset: offsetSchema, bytes: z.number() }),
  z.object({ type: z.literal('resized'), offset: offsetSchema, cols: z.number(), rows: z.number() }),
  /** The session's process ended; nothing follows. */
  z.object({ type: z.literal('exit'), offset: offsetSchema, exit: sessionExitSchema.optional() }),
])
export type TerminalItem = z.infer<typeof terminalItemSchema>

/** What an exec yields, in order; bytes as base64. The last item is `exit`. */
export const execItemSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('stdout'), data: z.string() }),
  z.object({ type: z.literal('stderr'), data: z.string() }),
  z.object({ type: z.literal('exit'), code: z.number().int() }),
])
export type ExecItem = z.infer<typeof execItemSchema>

/** What a watcher of statistics receives. */
export const statsItemSchema = z.object({ type: z.literal('stats'), stats: sessionStatsSchema })
export type StatsItem = z.infer<typeof statsItemSchema>

/** What a client asks to run inside a session. */
export const execRequestSchema = z.strictObject({
  execId: streamIdSchema,
  sessionId: sessionIdSchema,
  /** Program and arguments; no shell unless it is one. */
  argv: z
    .array(
      z
        .string()
        .max(LIMITS.argvMaxChars)
        .refine((text) => !text.includes('\0'), { error: 'An argument cannot hold a NUL character.' }),
    )
    .min(1, { error: 'Say what to run.' })
    .max(LIMITS.argvMaxEntries),
  /** Directory to run in, absolute or relative to the workspace; the workspace when absent. */
  cwd: z
    .string()
    .max(4_096)
    .refine((text) => !text.includes('\0'))
    .optional(),
  /** True when stdin will be sent with `sessions.execInput`; else it is empty. */
  stdin: z.boolean().optional(),
})
export type ExecRequest = z.infer<typeof execRequestSchema>

/** What is exported: all that differs from the session's base, as a patch for git; or all its commits, as a bundle. */
export const exportFormatSchema = z.enum(['patch', 'bundle'])
export type ExportFormat = z.infer<typeof exportFormatSchema>

/** What a client asks to export of a session. It yields what an exec does: the file on `stdout`, then `exit` with 0. */
export const exportRequestSchema = z.strictObject({
  exportId: streamIdSchema,
  sessionId: sessionIdSchema,
  format: exportFormatSchema,
})
export type ExportRequest = z.infer<typeof exportRequestSchema>

/** Relay → orchestrator, on the subscription `orchestrator.streams`. */
export const streamOrderSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('open_terminal'),
    streamId: streamIdSchema,
    sessionId: sessionIdSchema,
    /** The viewer's size, when it wants to set the session's. */
    size: terminalSizeSchema.optional(),
    /** Continue after this byte offset instead of a replay. */
    after: offsetSchema.optional(),
  }),
  /** Statistics of a session every two seconds, for as long as the stream is open. */
  z.object({ type: z.literal('open_stats'), streamId: streamIdSchema, sessionId: sessionIdSchema }),
  z.object({
    type: z.literal('open_chat'),
    streamId: streamIdSchema,
    sessionId: sessionIdSchema,
    /** Continue after this revision instead of the last entries. */
    after: revisionSchema.optional(),
    /** Send only these entries, oldest first, and close: so many before this place. */
    page: z.object({ before: z.number().int().positive(), limit: z.number().int().positive() }).optional(),
  }),
  z.object({ type: z.literal('open_exec'), streamId: streamIdSchema, request: execRequestSchema }),
  z.object({ type: z.literal('open_export'), streamId: streamIdSchema, request: exportRequestSchema }),
  /** Terminal input as text, or stdin of an exec as base64. */
  z.object({ type: z.literal('write'), streamId: streamIdSchema, data: z.string() }),
  /** No more stdin. */
  z.object({ type: z.literal('end'), streamId: streamIdSchema }),
  /** Input and resize for a session's terminal; they need no open stream. */
  z.object({ type: z.literal('terminal_input'), sessionId: sessionIdSchema, data: z.string() }),
  z.object({ type: z.literal('terminal_resize'), sessionId: sessionIdSchema, size: terminalSizeSchema }),
  /** So many more bytes may be sent on this stream. */
  z.object({ type: z.literal('credit'), streamId: streamIdSchema, bytes: z.number().int().positive() }),
  z.object({ type: z.literal('close'), streamId: streamIdSchema }),
  /**
   * A project's secrets: answered by `secrets`, or by `closed` with an error. It travels here and not as a command,
   * because commands are kept, and a value must not be.
   */
  z.object({
    type: z.literal('secrets'),
    streamId: streamIdSchema,
    projectId: projectIdSchema,
    change: z
      .discriminatedUnion('type', [
        z.object({ type: z.literal('set'), name: variableNameSchema, value: secretValueSchema }),
        z.object({ type: z.literal('unset'), name: variableNameSchema }),
      ])
      .optional(),
  }),
])
export type StreamOrder = z.infer<typeof streamOrderSchema>

/** Orchestrator → relay, in batches by the mutation `orchestrator.send`. */
export const streamFrameSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('terminal'), streamId: streamIdSchema, item: terminalItemSchema }),
  z.object({ type: z.literal('exec'), streamId: streamIdSchema, item: execItemSchema }),
  /** Answers the order `secrets`: what the project has now. */
  z.object({ type: z.literal('secrets'), streamId: streamIdSchema, secrets: z.array(secretInfoSchema) }),
  z.object({ type: z.literal('stats'), streamId: streamIdSchema, item: statsItemSchema }),
  z.object({ type: z.literal('chat'), streamId: streamIdSchema, item: chatItemSchema }),
  /** The stream ended; with an error when it failed. */
  z.object({ type: z.literal('closed'), streamId: streamIdSchema, error: wireErrorSchema.optional() }),
])
export type StreamFrame = z.infer<typeof streamFrameSchema>

/** What one item of statistics costs, in bytes: about its size as JSON, so that a watcher that does not read stops them. */
const STATS_ITEM_BYTES = 256

/**
 * Bytes of credit that an item costs: relay and orchestrator count alike, or a stream would stall.
 *
 * Terminal text counts as UTF-8, exec output as the bytes its base64 stands for; items of a chat as their text or entry; all others are free.
 */
export function streamItemBytes(item: TerminalItem | ExecItem | StatsItem | ChatItem): number {
  switch (item.type) {
    case 'replay':
    case 'data':
      return utf8Bytes(item.data)
    case 'stdout':
    case 'stderr':
      return Math.floor((item.data.replace(/=+$/, '').length * 3) / 4)
    case 'stats':
      return STATS_ITEM_BYTES
    case 'append':
      return utf8Bytes(item.text)
    case 'entry':
      return JSON.stringify(item.entry).length
    case 'head':
    case 'live':
    case 'truncated':
    case 'resized':
    case 'exit':
      return 0
    default:
      return item satisfies never
  }
}

const encoder = new TextEncoder()
const scratch = new Uint8Array(64 * 1024)

// Not Buffer, as this package also runs in browsers, and not unit by unit, which takes forty times as long.
function utf8Bytes(text: string): number {
  let bytes = 0
  for (let rest = text; rest !== ''; ) {
    const { read, written } = encoder.encodeInto(rest, scratch)
    bytes += written
    rest = rest.slice(read)
  }
  return bytes
}
