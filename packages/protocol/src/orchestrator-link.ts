import { z } from 'zod'
import { commandNameSchema, commandStateSchema } from './commands.ts'
import { orchestratorSchema, projectSchema, sessionSchema } from './domain.ts'
import { orchestratorEventSchema } from './events.ts'
import { hostProofSchema } from './host.ts'
import { commandIdSchema } from './ids.ts'
import { questionSchema } from './questions.ts'

/** Version of the agreement between relay and orchestrator; another one is refused with UPGRADE_REQUIRED. */
export const LINK_VERSION = 2

/** What an orchestrator says of itself when it connects. */
export const registrationSchema = z.object({
  linkVersion: z.number().int(),
  orchestrator: orchestratorSchema.omit({ state: true, connectedAt: true, lastSeenAt: true }),
  /** Commands it can run, custom ones included. */
  commands: z.array(z.object({ name: commandNameSchema, isBuiltIn: z.boolean(), description: z.string().optional() })),
  projects: z.array(projectSchema),
  sessions: z.array(sessionSchema),
  /** All that wait for an answer, and the latest of those that do not. */
  questions: z.array(questionSchema).default([]),
  /** Commands it knows from before and how they stand, so that the relay can resolve what it called `unknown`. */
  known: z.array(z.object({ commandId: commandIdSchema, state: commandStateSchema })),
  /**
   * Names the numbering of its events when that goes on over restarts of the orchestrator: a number that was taken under
   * this name is dropped. When absent, a new process counts from 1 again.
   */
  outbox: z.string().min(1).max(40).optional(),
  /** Which machine this is, and the proof that it holds the key of its token. */
  host: hostProofSchema.optional(),
})
export type Registration = z.infer<typeof registrationSchema>

/** The relay's answer; the epoch goes with every later call of this connection (C-9). */
export const registeredSchema = z.object({
  epoch: z.number().int(),
  relayVersion: z.string(),
  /** The relay's monotonic clock, in milliseconds, which `sentAt` of later messages is of. */
  clock: z.number(),
  /** Goes with `orchestrator.streams` on the second socket, which thereby is the same machine's. */
  linkKey: z.string(),
})
export type Registered = z.infer<typeof registeredSchema>

/** Relay → orchestrator, on the tracked subscription `orchestrator.commands`. */
export const dispatchSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('run'),
    commandId: commandIdSchema,
    command: commandNameSchema,
    input: z.unknown(),
    /** Remaining time to live when it was sent, in milliseconds. */
    ttlMs: z.number(),
    /** When that was, by the relay's monotonic clock, in milliseconds: on a bad path it may arrive much later (C-7). */
    sentAt: z.number(),
    /** Who asked, and the role; local clone paths are for admins only. */
    by: z.object({
      name: z.string(),
      isAdmin: z.boolean(),
      /** Which token; absent when it is not known any more. */
      tokenId: z.string().optional(),
    }),
  }),
  z.object({ type: z.literal('cancel'), commandId: commandIdSchema }),
  /** Say again how it ended, or that it is not known: the relay does not know and it is not among those told at registration. */
  z.object({ type: z.literal('tell'), commandId: commandIdSchema, command: commandNameSchema }),
])
export type Dispatch = z.infer<typeof dispatchSchema>

/**
 * Orchestrator → relay, by the mutation `orchestrator.publish`. `seq` grows with each event, and the connection's epoch is
 * checked. `lost` says that so many events right before this one were dropped because the outbox was full.
 */
export const publicationSchema = z.object({
  epoch: z.number().int(),
  events: z
    .array(
      z.object({
        seq: z.number().int().min(1),
        event: orchestratorEventSchema,
        lost: z.number().int().min(1).optional(),
      }),
    )
    .min(1)
    .max(256),
})
export type Publication = z.infer<typeof publicationSchema>
