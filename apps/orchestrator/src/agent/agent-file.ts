import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { slugSchema } from '@ai-orchestration/protocol'
import { z } from 'zod'
import { parseToml } from '../disk/parse-toml.ts'
import { hostPatternSchema } from '../door/egress-settings.ts'

const text = z.string().min(1)
/** Relative and without `..`, so that it stays in the directory it is about. */
const innerPath = text.refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), {
  error: 'must be a relative path without ..',
})

/** `{arch}` is x64 or arm64. */
const forThisMachine = text.transform((value) => value.replaceAll('{arch}', process.arch))

const packageSchema = z.strictObject({
  /** npm package. */
  name: forThisMachine.pipe(
    text.regex(/^(@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/, { error: 'must be the name of an npm package' }),
  ),
  version: text.regex(/^\d+\.\d+\.\d+[0-9A-Za-z.+-]*$/, { error: 'must be an exact version such as 2.1.330' }),
  /** File with the checksums of that version and of all it needs, relative to this one. */
  lock: forThisMachine.pipe(innerPath).optional(),
  /** Oldest version that works with the seeds and arguments here. */
  minimumVersion: z.string().regex(/^\d+\.\d+\.\d+$/, { error: 'must be a version such as 2.1.0' }),
  /** Name of the program, as it is found on the container's PATH. */
  program: slugSchema,
  /** Where the program is after an installation; the first that exists is taken. */
  binaries: z.array(forThisMachine.pipe(innerPath)).min(1),
  /** Arguments with which it ends by itself and shows that it runs. */
  check: z.array(z.string()).default(['--version']),
  /** Leave out what npm calls optional. */
  withoutOptional: z.boolean().default(false),
  /** Other entries whose programs it needs. */
  requires: z.array(slugSchema).default([]),
})

const fieldsSchema = z.strictObject({
  name: text,
  /** Absent for what is no agent but a part that agents need. */
  argv: z.array(text).min(1).optional(),
  prompt: z
    .array(text)
    .refine((args) => args.some((arg) => arg.includes('{prompt}')), { error: 'must hold {prompt}' })
    .optional(),
  /** Arguments that make it go on with an earlier conversation of its own. */
  resume: z
    .array(text)
    .refine((args) => args.some((arg) => arg.includes('{conversation}')), { error: 'must hold {conversation}' })
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
/** One agent as `agents.toml` describes it; the file itself explains each field. */
export const agentSchema = fieldsSchema.refine(({ argv, package: source }) => (argv ?? source) !== undefined, {
  path: ['argv'],
  error: 'must say how the agent is started; only a part that comes from a package has none',
})
export type AgentDefinition = z.infer<typeof agentSchema> & {
  /** Where the lock file of its package lies. */
  lockFile?: string
}
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
  const agents = Object.entries(parseToml(path, source, z.record(slugSchema, agentSchema)))
  return new Map(
    agents.map(([id, agent]) => {
      const lock = agent.package?.lock
      return [id, lock === undefined ? agent : { ...agent, lockFile: join(dirname(path), lock) }]
    }),
  )
}
