import { z } from 'zod'
import { timestampSchema } from './domain.ts'
import { LIMITS } from './limits.ts'

/** Name of an environment variable. */
export const variableNameSchema = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, {
  error: 'The name of a variable has up to 64 letters, digits and underscores, such as DATABASE_URL.',
})

/** Value of an environment variable. */
export const variableValueSchema = z
  .string()
  .max(LIMITS.variableMaxChars, { error: `A variable holds at most ${LIMITS.variableMaxChars} characters.` })
  .refine((text) => !text.includes('\0'), { error: 'A variable cannot hold a NUL character.' })

/** Plain variables that every session of a project has; whoever may read the project may read them. */
export const projectEnvSchema = z.record(variableNameSchema, variableValueSchema)

/** Shell lines that are run once per base commit, in a container without network; the first that fails ends it. */
export const setupSchema = z
  .array(
    z
      .string()
      .min(1)
      .max(LIMITS.setupLineMaxChars)
      .refine((text) => !text.includes('\0'), { error: 'A line of the setup cannot hold a NUL character.' }),
  )
  .max(LIMITS.setupLinesMax)

/** Names that may be lost with a session when git ignores them (D-1). */
export const disposableSchema = z.array(z.string().min(1).max(200)).max(100)

/** A secret as it is listed: never its value. */
export const secretInfoSchema = z.object({
  name: variableNameSchema,
  /** `stored` on the orchestrator's machine, or read there from a file or a variable that `project.toml` names. */
  source: z.enum(['stored', 'file', 'env']),
  /** When a stored one was set. */
  updatedAt: timestampSchema.optional(),
})
export type SecretInfo = z.infer<typeof secretInfoSchema>

/** A secret's value as it travels once, from a person to the orchestrator. */
export const secretValueSchema = z
  .string()
  .min(1, { error: 'A secret cannot be empty.' })
  .max(LIMITS.secretMaxChars, { error: `A secret holds at most ${LIMITS.secretMaxChars} characters.` })
  .refine((text) => !text.includes('\0'), { error: 'A secret cannot hold a NUL character.' })

/** How many containers wait for sessions of a project: each is a shell that sleeps. */
export const poolSizeSchema = z.number().int().min(0).max(8)
