import { readFile } from 'node:fs/promises'
import { AioError, describeIssues, slugSchema } from '@ai-orchestration/protocol'
import { parse, TomlError } from 'smol-toml'
import { z } from 'zod'
import { hostPatternSchema } from '../door/egress-settings.ts'

const text = z.string().min(1)
/** Relative and without `..`, so that it stays in the directory it is about. */
const innerPath = text.refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), {
  error: 'must be a relative path without ..',
})

const packageSchema = z.strictObject({
  /** npm package. */
  name: text.regex(/^(@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/, { error: 'must be the name of an npm package' }),
  version: text.regex(/^[0-9A-Za-z][0-9A-Za-z.+-]*$/, { error: 'must be a version or a tag such as latest' }),
  /** Oldest version that works with the seeds and arguments here. */
  minimumVersion: z.string().regex(/^\d+\.\d+\.\d+$/, { error: 'must be a version such as 2.1.0' }),
  /** Name of the program, as it is found on the container's PATH. */
  program: slugSchema,
  /** Where the program is after an installation; the first that exists is taken. */
  binaries: z.array(innerPath).min(1),
})

/** One agent as `agents.toml` describes it; the file itself explains each field. */
export const agentSchema = z.strictObject({
  name: text,
  argv: z.array(text).min(1),
  prompt: z
    .array(text)
    .refine((args) => args.some((arg) => arg.includes('{prompt}')), { error: 'must hold {prompt}' })
    .optional(),
  /** What {permissionMode} stands for: the agent's own words for asking nothing, and for asking. */
  permissionMode: z.strictObject({ allow: text, ask: text }).optional(),
  /** How it is started to speak the Agent Client Protocol on stdin and stdout; it then can have a chat. */
  chat: z
    .strictObject({
      argv: z.array(text).min(1),
      env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
      /** Its own words for the two permission modes, set by the protocol; absent: as started. */
      mode: z.strictObject({ allow: text, ask: text }).optional(),
      /** Other agents of this file whose programs it needs beside its own. */
      requires: z.array(slugSchema).default([]),
    })
    .optional(),
  gateway: z.enum(['anthropic']).optional(),
  /** Hosts that its sessions may reach besides those of the project. */
  hosts: z.array(hostPatternSchema).default([]),
  package: packageSchema.optional(),
  env: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
  seed: z.record(innerPath, z.record(z.string(), z.json())).default({}),
})
export type AgentDefinition = z.infer<typeof agentSchema>
export type AgentPackage = z.infer<typeof packageSchema>

/**
 * Reads agents from a file; none when it does not exist.
 *
 * @throws AioError INVALID_INPUT that names the file, the agent and the field.
 */
export async function readAgentFile(path: string): Promise<Map<string, AgentDefinition>> {
  const source = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const parsed = z.record(slugSchema, agentSchema).safeParse(parseToml(source, path))
  if (!parsed.success)
    throw new AioError('INVALID_INPUT', `${path} is not a valid list of agents. ${describeIssues(parsed.error)}`)
  return new Map(Object.entries(parsed.data))
}

function parseToml(source: string, path: string): unknown {
  try {
    return parse(source)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new AioError('INVALID_INPUT', `${path} is not TOML: ${error.message}`, { cause: error })
  }
}
