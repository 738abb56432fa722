import { readFile } from 'node:fs/promises'
import {
  AioError,
  budgetSchema,
  disposableSchema,
  limitsRequestSchema,
  poolSizeSchema,
  projectEnvSchema,
  projectIdSchema,
  setupSchema,
  slugSchema,
  timestampSchema,
  titleSchema,
  variableNameSchema,
} from '@ai-orchestration/protocol'
import { stringify } from 'smol-toml'
import { z } from 'zod'
import { parseToml } from '../disk/parse-toml.ts'
import { writeFileDurably } from '../disk/write-file-durably.ts'
import { egressSettingsSchema } from '../door/egress-settings.ts'
import { secretReferenceSchema } from './secrets.ts'

/** Ignored paths with these names can be made again and are not work: removing a session may lose them (D-1). */
export const DEFAULT_DISPOSABLE = ['node_modules', 'target', 'dist', '.venv', '.next']

/** What `project.toml` holds. People may edit it; keys that are not known here are kept out of our way by being refused. */
export const projectFileSchema = z.strictObject({
  id: projectIdSchema,
  name: slugSchema,
  title: titleSchema.optional(),
  /** Without user and password. */
  repoUrl: z.string().optional(),
  defaultBranch: z.string().min(1),
  agent: slugSchema.optional(),
  /** Names of ignored files and directories that may be lost with a session. */
  disposable: disposableSchema.default(DEFAULT_DISPOSABLE),
  /** Variables of every session. */
  env: projectEnvSchema.optional(),
  /** One shell line or several, run once per base commit. */
  setup: z
    .union([z.string(), setupSchema])
    .transform((setup) => (typeof setup === 'string' ? [setup] : setup))
    .pipe(setupSchema)
    .optional(),
  /** Start sessions although the setup failed. */
  setupOptional: z.boolean().optional(),
  /** Where secrets are read when a session starts; those set with `aio projects secrets set` are not in here. */
  secrets: z.record(variableNameSchema, secretReferenceSchema).optional(),
  /** Limits of new sessions; what is not named here is the platform's own. */
  limits: limitsRequestSchema.optional(),
  /** Containers that wait for its sessions. */
  pool: poolSizeSchema.optional(),
  /** A session in which nothing has happened for so long is paused, in milliseconds; 0 for never. */
  idlePauseMs: z.number().int().min(0).optional(),
  /** Where sessions may go. */
  egress: egressSettingsSchema.optional(),
  /** What sessions may use of the model before a person is asked. */
  budget: z
    .strictObject({
      /** Each session. */
      session: budgetSchema.optional(),
      /** All sessions together. */
      project: budgetSchema.optional(),
    })
    .optional(),
  /** Who commits inside sessions; the orchestrator's own git identity when absent. */
  git: z.strictObject({ name: z.string().min(1), email: z.string().min(1) }).optional(),
  createdAt: timestampSchema,
})

/** A project as its file describes it. */
export type ProjectFile = z.output<typeof projectFileSchema>

/**
 * Reads a `project.toml`.
 *
 * @throws AioError INVALID_INPUT that names the file and what is wrong with it; NOT_FOUND when there is none.
 */
export async function readProjectFile(path: string): Promise<ProjectFile> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    throw new AioError('NOT_FOUND', `${path} cannot be read.`, { cause: error })
  }
  return parseToml(path, text, projectFileSchema)
}

/** Writes a `project.toml` so that a crash leaves either the old file or the new one. */
export async function writeProjectFile(path: string, project: ProjectFile): Promise<void> {
  await writeFileDurably(path, stringify(project), 0o644)
}
