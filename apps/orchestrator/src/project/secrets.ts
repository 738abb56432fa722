import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import {
  AioError,
  LIMITS,
  type SecretInfo,
  secretValueSchema,
  timestampSchema,
  variableNameSchema,
} from '@ai-orchestration/protocol'
import { z } from 'zod'
import { writeFileDurably } from '../disk/write-file-durably.ts'

const storedSchema = z.record(
  variableNameSchema,
  z.strictObject({ value: secretValueSchema, updatedAt: timestampSchema }),
)

type Stored = z.output<typeof storedSchema>

/** Where `project.toml` says that a secret is to be read when a session starts; neither is ever copied. */
export const secretReferenceSchema = z.union([
  z.strictObject({ file: z.string().startsWith('/', { error: 'must be an absolute path' }) }),
  z.strictObject({ env: variableNameSchema }),
])

/** See {@link secretReferenceSchema}. */
export type SecretReference = z.output<typeof secretReferenceSchema>

/** Most secrets of one project: each is a file in each of its containers. */
const SECRETS_MAX = 100
/** A value in UTF-8 takes at most four bytes for each character; a file may end with a line break. */
const FILE_MAX_BYTES = LIMITS.secretMaxChars * 4 + 2

interface SecretServices {
  aioHome: string
  /** A variable of the orchestrator's own environment; `undefined` for those that are settings of the platform. */
  variable: (name: string) => string | undefined
  now?: () => Date
}

/**
 * The secrets of projects: stored under AIO_HOME, outside of every project directory, so that no archive or copy of a
 * project holds one; or read where `project.toml` says. Values leave here only for the processes of a project's own
 * sessions (I-4).
 */
export class ProjectSecrets {
  readonly #services: SecretServices
  #writing: Promise<unknown> = Promise.resolve()

  constructor(services: SecretServices) {
    this.#services = services
  }

  /** The secrets of a project by name, without values. */
  async list(projectId: string, references: Readonly<Record<string, SecretReference>>): Promise<SecretInfo[]> {
    const stored = await this.#read(projectId)
    const named = Object.entries(references).filter(([name]) => !Object.hasOwn(stored, name))
    return [
      ...Object.entries(stored).map(([name, { updatedAt }]) => ({ name, source: 'stored' as const, updatedAt })),
      ...named.map(([name, reference]) => ({
        name,
        source: 'file' in reference ? ('file' as const) : ('env' as const),
      })),
    ].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Stores a secret; sessions that are started from now on have it. @throws AioError LIMIT */
  async set(projectId: string, name: string, value: string): Promise<void> {
    const updatedAt = (this.#services.now?.() ?? new Date()).toISOString()
    await this.#change(projectId, (stored) => {
      const changed = { ...stored, [name]: { value, updatedAt } }
      if (Object.keys(changed).length > SECRETS_MAX)
        throw new AioError('LIMIT', `A project has at most ${SECRETS_MAX} secrets. Take one away first.`)
      return changed
    })
  }

  /** Forgets a stored secret. @throws AioError NOT_FOUND when there is none of that name. */
  async unset(projectId: string, name: string): Promise<void> {
    await this.#change(projectId, (stored) => {
      if (!Object.hasOwn(stored, name))
        throw new AioError(
          'NOT_FOUND',
          `No secret ${name} is stored for ${projectId}. One that project.toml names is taken away there.`,
        )
      return Object.fromEntries(Object.entries(stored).filter(([key]) => key !== name))
    })
  }

  /** Forgets all secrets of a project that is deleted, so that a later one of its name does not get them. */
  async forget(projectId: string): Promise<void> {
    await this.#inTurn(async () => await rm(this.#path(projectId), { force: true }))
  }

  /**
   * The values that a session of a project is given.
   *
   * @throws AioError NOT_FOUND that names a secret whose file or variable is not there; INVALID_INPUT when it is none.
   */
  async values(projectId: string, references: Readonly<Record<string, SecretReference>>): Promise<Map<string, string>> {
    const stored = await this.#read(projectId)
    const values = new Map(Object.entries(stored).map(([name, { value }]) => [name, value]))
    for (const [name, reference] of Object.entries(references))
      if (!values.has(name)) values.set(name, await this.#follow(projectId, name, reference))
    return values
  }

  async #follow(projectId: string, name: string, reference: SecretReference): Promise<string> {
    const where =
      'file' in reference ? `the file ${reference.file}` : `the variable ${reference.env} of the orchestrator`
    const found = 'file' in reference ? await this.#readFile(reference.file) : this.#services.variable(reference.env)
    if (found === undefined || found === '')
      throw new AioError(
        'NOT_FOUND',
        `The secret ${name} of ${projectId} is to come from ${where}, which is not there, is empty or may not be used. Mend it, or store a value: aio projects secrets set ${projectId} ${name}`,
      )
    const parsed = secretValueSchema.safeParse(found)
    if (!parsed.success)
      throw new AioError(
        'INVALID_INPUT',
        `What ${where} holds cannot be the secret ${name} of ${projectId}: it is too long or holds a NUL.`,
      )
    return parsed.data
  }

  /** Without the line break that an editor leaves; never a file of the platform's own, such as its tokens. */
  async #readFile(path: string): Promise<string | undefined> {
    if (!relative(this.#services.aioHome, path).startsWith('..')) return undefined
    try {
      await using file = await open(path, 'r')
      const { buffer, bytesRead } = await file.read(Buffer.alloc(FILE_MAX_BYTES), 0, FILE_MAX_BYTES)
      return buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '')
    } catch (error) {
      if (error instanceof Error && 'code' in error && ['ENOENT', 'EACCES', 'EISDIR'].includes(`${error.code}`))
        return undefined
      throw error
    }
  }

  async #change(projectId: string, change: (stored: Stored) => Stored): Promise<void> {
    await this.#inTurn(async () => {
      const changed = change(await this.#read(projectId))
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      if (Object.keys(changed).length === 0) await rm(this.#path(projectId), { force: true })
      else await writeFileDurably(this.#path(projectId), `${JSON.stringify(changed)}\n`, 0o600)
    })
  }

  async #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const mine = this.#writing.then(action, action)
    this.#writing = mine.catch(() => undefined)
    return await mine
  }

  async #read(projectId: string): Promise<Stored> {
    const path = this.#path(projectId)
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return '{}'
      throw error
    })
    // What is wrong with it is not said: a message may be shown, and would show parts of values.
    const damaged = () =>
      new AioError('INVALID_INPUT', `${path} is damaged. Move it away, and set the secrets of ${projectId} again.`)
    let data: unknown
    try {
      data = JSON.parse(text)
    } catch {
      throw damaged()
    }
    const parsed = storedSchema.safeParse(data)
    if (!parsed.success) throw damaged()
    return parsed.data
  }

  get #directory(): string {
    return join(this.#services.aioHome, 'secrets')
  }

  #path(projectId: string): string {
    return join(this.#directory, `${projectId}.json`)
  }
}
