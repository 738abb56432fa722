import { z } from 'zod'
import { isSlug, SLUG_RULE, slugSchema } from './slug.ts'

/** A project's id is its name, unique per relay. */
export const projectIdSchema = slugSchema

/** `{projectName}_{sessionName}`, the same everywhere: worktree, bundle, container, tmux session. */
export const sessionIdSchema = z
  .string({ error: 'A session id is {project}_{session}.' })
  .refine((text) => parseSessionId(text) !== undefined, {
    error: `A session id is {project}_{session}, two names joined by one underscore. ${SLUG_RULE}`,
  })

/** Splits a session id into its two names, or answers `undefined` when it is not one. */
export function parseSessionId(text: string): { projectId: string; name: string } | undefined {
  const parts = text.split('_')
  const [projectId, name] = parts
  if (parts.length !== 2 || projectId === undefined || name === undefined) return undefined
  return isSlug(projectId) && isSlug(name) ? { projectId, name } : undefined
}

/** `{sessionId}/{time}`, the time in UTC without separators. */
export const archiveIdSchema = z.string().refine((text) => isArchiveName(text, /^\d{8}T\d{9}Z$/), {
  error: 'An archive id is {project}_{session}/{time}, as `aio sessions archives` lists it.',
})

/** Names an archive: its id, or one that is cut short behind the session or within the time, for the latest that fits. */
export const archiveNameSchema = z.string().refine((text) => isArchiveName(text, /^[0-9TZ]{0,19}$/), {
  error: 'Name an archive by its id {project}_{session}/{time}, or by {project}_{session} for the latest of a session.',
})

function isArchiveName(text: string, time: RegExp): boolean {
  const [session = '', stamp = '', ...more] = text.split('/')
  return parseSessionId(session) !== undefined && time.test(stamp) && more.length === 0
}

/** The session that an archive, or the name of one, is about. */
export function sessionOfArchive(archive: string): string {
  return archive.split('/')[0] ?? archive
}

/** Joins the two names of a session to its id. */
export function sessionIdOf(projectId: string, name: string): string {
  return `${projectId}_${name}`
}

/** The name of a session's container and of its tmux session. */
export function containerIdOf(sessionId: string): string {
  return `claude-${sessionId}`
}

/** A ULID: 26 characters of Crockford base 32, made by whoever asks for the command. */
export const commandIdSchema = z
  .string()
  .regex(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/, { error: 'A commandId is a ULID: 26 characters, made once per command.' })

/** An orchestrator's own id, made at its first start and kept under `AIO_HOME`. */
export const orchestratorIdSchema = z
  .string()
  .regex(/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/, { error: 'An orchestratorId is a ULID; `aio orchestrators` lists them.' })

/** A short-lived id of one terminal viewer or one exec, made by the client. */
export const streamIdSchema = z
  .string()
  .regex(/^[0-9A-Za-z_-]{8,40}$/, { error: 'A stream id has 8 to 40 letters or digits.' })

/** Where an event stands in the relay's one stream: `{epoch}.{seq}`, seq counting from 1 within an epoch. */
export const positionSchema = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}\.(0|[1-9][0-9]{0,15})$/, {
  error: 'A position is {epoch}.{seq}, as an event carries it.',
})

/** Splits a position into its epoch and number. */
export function parsePosition(position: string): { epoch: string; seq: number } {
  const dot = position.indexOf('.')
  return { epoch: position.slice(0, dot), seq: Number(position.slice(dot + 1)) }
}
