import { z } from 'zod'
import { archiveIdSchema, orchestratorIdSchema, projectIdSchema, sessionIdSchema } from './ids.ts'
import { LIMITS } from './limits.ts'
import { slugSchema } from './slug.ts'
import { usageSchema } from './usage.ts'

/** A moment for people to read: ISO 8601 in UTC. Nothing is ordered or timed by it. */
export const timestampSchema = z.iso.datetime()

/** Display text: any characters but control ones; it is data only and is never used as a name or path. */
export const titleSchema = z
  .string()
  .trim()
  .min(1, { error: 'A title cannot be empty.' })
  .max(LIMITS.titleMaxChars, { error: `A title has at most ${LIMITS.titleMaxChars} characters.` })
  .refine((text) => !/\p{Cc}/u.test(text), { error: 'A title cannot hold control characters such as line breaks.' })

/**
 * What a token allows, weakest first; each of the first three includes those before it. `orchestrator` is one machine and
 * `enroll` a code that becomes one, once: neither includes any other.
 */
export const roleSchema = z.enum(['viewer', 'operator', 'admin', 'orchestrator', 'enroll'])
export type Role = z.infer<typeof roleSchema>

/** What a token is limited to; an absent list means all. Where both are given, both hold. */
export const scopeSchema = z.object({
  /** Projects, with their sessions, commands and events. */
  projects: z.array(projectIdSchema).min(1).max(LIMITS.scopeMaxEntries).optional(),
  /** Machines and what is on them; for the role `orchestrator` the one it is. */
  orchestrators: z.array(orchestratorIdSchema).min(1).max(LIMITS.scopeMaxEntries).optional(),
})
export type Scope = z.infer<typeof scopeSchema>

/** An agent as one orchestrator offers it. */
export const agentInfoSchema = z.object({
  id: slugSchema,
  name: z.string(),
  installed: z.boolean(),
  /** True when a session can start it now: installed, and with a credential if it needs one. */
  ready: z.boolean(),
  version: z.string().optional(),
  /** The version that this orchestrator installs unless another one is asked for. */
  pinnedVersion: z.string().optional(),
  /** True for what no session can run by itself, such as Node.js: a part that agents need. */
  isPart: z.boolean().optional(),
  /** True when it can have a chat besides its terminal: it offers one, and all that takes is installed. */
  hasChat: z.boolean().optional(),
  /** Why it is not ready, and what to do. */
  reason: z.string().optional(),
})
export type AgentInfo = z.infer<typeof agentInfoSchema>

/** What new containers of a machine start from. */
export const rootfsInfoSchema = z.object({
  /** `skeleton`: this machine's own /usr, read-only, under a few generated files; `built`: a directory at ROOTFS_DIR. */
  kind: z.enum(['skeleton', 'built']),
  /** Where it lies on the orchestrator's machine. */
  path: z.string(),
  /** Absent when it was not made by `aio rootfs build`. */
  builtAt: timestampSchema.optional(),
  /** Space it takes on disk. */
  bytes: z.number().int().nonnegative().optional(),
  distribution: z.string().optional(),
  /** How many packages are installed in it. */
  packages: z.number().int().nonnegative().optional(),
  /** Sessions that run on it now; the others run on an earlier one. */
  inUseBy: z.array(sessionIdSchema),
})
export type RootfsInfo = z.infer<typeof rootfsInfoSchema>

/** How well sessions of a machine are isolated; `degraded` only after an admin's explicit setting. */
export const isolationSchema = z.enum(['full', 'degraded'])
export type Isolation = z.infer<typeof isolationSchema>

/** One machine that runs sessions. */
export const orchestratorSchema = z.object({
  id: orchestratorIdSchema,
  name: z.string().max(100),
  state: z.enum(['online', 'offline']),
  version: z.string(),
  connectedAt: timestampSchema.optional(),
  lastSeenAt: timestampSchema,
  machine: z.object({
    cores: z.number(),
    memoryBytes: z.number(),
    kernel: z.string(),
    runc: z.string().optional(),
  }),
  agents: z.array(agentInfoSchema),
  isolation: isolationSchema,
  /** What its admin should know, each with what to do; for example a runc without the fixes of November 2025. */
  warnings: z.array(z.string()),
})
export type Orchestrator = z.infer<typeof orchestratorSchema>

/** What a session may use at most. Absent where they are asked for: the project's, else the platform's own. */
export const sessionLimitsSchema = z.strictObject({
  /** Memory, what lies in /tmp included, in MiB; swap counts as memory. */
  memoryMb: z
    .number()
    .int()
    .min(LIMITS.sessionMemoryMinMb, { error: `A session needs at least ${LIMITS.sessionMemoryMinMb} MiB of memory.` })
    .max(LIMITS.sessionMemoryMaxMb),
  /** Processor time, in cores. */
  cpus: z.number().min(LIMITS.sessionCpusMin).max(LIMITS.sessionCpusMax),
  /** Processes and threads at once. */
  pids: z.number().int().min(LIMITS.sessionPidsMin).max(LIMITS.sessionPidsMax),
  /** What its workspace and home may take on disk, in MiB; a session that takes more is paused. */
  diskMb: z.number().int().min(LIMITS.sessionDiskMinMb).max(LIMITS.sessionDiskMaxMb),
})
export type SessionLimits = z.infer<typeof sessionLimitsSchema>

/** What of a session's limits is asked for or changed. */
export const limitsRequestSchema = sessionLimitsSchema.partial()
export type LimitsRequest = z.infer<typeof limitsRequestSchema>

/** One git repository and the sessions that work on it. */
export const projectSchema = z.object({
  id: projectIdSchema,
  name: slugSchema,
  title: titleSchema.optional(),
  /** Where it was cloned from, without user and password; absent for a repository that was made empty. */
  repoUrl: z.string().optional(),
  orchestratorId: orchestratorIdSchema,
  defaultBranch: z.string(),
  /** The agent of a new session that does not name one. */
  agent: slugSchema.optional(),
  /** Variables of every session; absent when there are none. */
  env: z.record(z.string(), z.string()).optional(),
  /** Shell lines run once per base commit; absent when there are none. */
  setup: z.array(z.string()).optional(),
  /** True when sessions start although the setup failed. */
  setupOptional: z.boolean().optional(),
  /** Names that may be lost with a session when git ignores them. */
  disposable: z.array(z.string()).optional(),
  /** Limits of new sessions; what is not named is the platform's own. */
  limits: limitsRequestSchema.optional(),
  /** Containers that wait for its sessions; absent when there are none. */
  pool: z.number().optional(),
  createdAt: timestampSchema,
  /** True when another orchestrator had a project of this name first; it cannot be used until renamed. */
  isConflicted: z.boolean().optional(),
})
export type Project = z.infer<typeof projectSchema>

/** How a session's process ended. */
export const sessionExitSchema = z.object({
  /**
   * `exited`: by itself, with `code`. `killed`: its container was killed. `oom`: for lack of memory. `pids_limit`: it
   * failed while it could start no more processes. `disk_limit`: it was killed while over its share of the disk.
   * `tmux_gone`: its terminal was. `reboot`: the machine was started again.
   */
  reason: z.enum(['exited', 'killed', 'oom', 'pids_limit', 'disk_limit', 'tmux_gone', 'reboot', 'unknown']),
  /** Exit status, when the process ended by itself. */
  code: z.number().int().optional(),
  at: timestampSchema,
  /** Its last lines on the terminal, without escape sequences. */
  lastLines: z.array(z.string()).optional(),
})
export type SessionExit = z.infer<typeof sessionExitSchema>

/** `starting`: being created. `running`: its process lives. `paused`: it lives and is frozen. `stopped`: it ended. `failed`: it ended within two seconds, or could not start. */
export const sessionStateSchema = z.enum(['starting', 'running', 'paused', 'stopped', 'failed'])
export type SessionState = z.infer<typeof sessionStateSchema>

/**
 * Why a session is frozen: a person asked, nothing happened in it for a while, it took more disk than it may, or it has
 * used up its budget.
 */
export const sessionPauseSchema = z.object({ reason: z.enum(['asked', 'idle', 'disk', 'budget']), at: timestampSchema })
export type SessionPause = z.infer<typeof sessionPauseSchema>

/** What is said to someone who types into a paused session: keys that wait would all take effect when it goes on. */
export function pausedText(sessionId: string): string {
  return `The session ${sessionId} is paused, so it takes no input. Let it go on: aio sessions resume ${sessionId}`
}

/** A limit that a session ran into: how often since it was started, and when last. Told at most once a minute each. */
export const reachedLimitSchema = z.object({
  limit: z.enum(['memory', 'cpu', 'pids', 'disk', 'output']),
  count: z.number().int().positive(),
  at: timestampSchema,
})
export type ReachedLimit = z.infer<typeof reachedLimitSchema>

/** What a session uses at a moment; sent only while somebody watches, and never kept. */
export const sessionStatsSchema = z.object({
  sessionId: sessionIdSchema,
  at: timestampSchema,
  /** Processor time since the item before, 100 for one core in full. */
  cpuPercent: z.number().nonnegative(),
  memoryBytes: z.number().nonnegative(),
  pids: z.number().int().nonnegative(),
  /** What its workspace and home take on disk; absent until it has been measured. */
  diskBytes: z.number().nonnegative().optional(),
})
export type SessionStats = z.infer<typeof sessionStatsSchema>
/** How a person talks to a session's agent: on the agent's own terminal screen, or in a chat of structured entries. */
export const sessionInterfaceSchema = z.enum(['terminal', 'chat'])
export type SessionInterface = z.infer<typeof sessionInterfaceSchema>

/** Whether an agent asks before it uses a tool; what each agent makes of it is in `agents.toml`. */
export const permissionsSchema = z.enum(['allow', 'ask'])
export type Permissions = z.infer<typeof permissionsSchema>

/**
 * What an agent needs: `needs_input` waits for a person; `done` has finished and nobody has looked since; `failed` could not
 * finish, until it is given something else to do; absent: not known.
 */
export const attentionSchema = z.enum(['working', 'needs_input', 'idle', 'done', 'failed'])
export type Attention = z.infer<typeof attentionSchema>

/** One agent at work: a worktree, a container and a terminal. */
export const sessionSchema = z.object({
  id: sessionIdSchema,
  projectId: projectIdSchema,
  name: slugSchema,
  title: titleSchema.optional(),
  orchestratorId: orchestratorIdSchema,
  agent: slugSchema,
  /** `terminal` when absent. */
  interface: sessionInterfaceSchema.optional(),
  /** Absent for an agent that never asks. */
  permissions: permissionsSchema.optional(),
  attention: attentionSchema.optional(),
  branch: z.string(),
  /** The ref it was made from, and the commit that was then. */
  base: z.object({ ref: z.string(), commit: z.string() }),
  /** The last commit of its branch that has come home to `.repo`. */
  headCommit: z.string().optional(),
  state: sessionStateSchema,
  exit: sessionExitSchema.optional(),
  /** Present while it is paused. */
  pause: sessionPauseSchema.optional(),
  /** What it may use at most; absent for a session of an older version that has not been started since. */
  limits: sessionLimitsSchema.optional(),
  /** Limits it has run into since its process was started. */
  reached: z.array(reachedLimitSchema).optional(),
  isolation: isolationSchema,
  /** What its isolation lacks, one sentence each; absent when it is full. */
  lacks: z.array(z.string()).optional(),
  /** What its agent has used through the model gateway; absent before the first call. */
  usage: usageSchema.optional(),
  /** One thing the person should know, such as why another agent was chosen. */
  notice: z.string().optional(),
  /** The session it was made a copy of. */
  forkedFrom: sessionIdSchema.optional(),
  /** The archive it was brought back from. */
  restoredFrom: archiveIdSchema.optional(),
  createdAt: timestampSchema,
  updatedAt: timestampSchema,
})
export type Session = z.infer<typeof sessionSchema>

/** What removing a session would lose; empty lists mean nothing of that kind. Paths are relative to the workspace. */
export const workAtRiskSchema = z.object({
  modified: z.array(z.string()),
  untracked: z.array(z.string()),
  ignored: z.array(z.string()),
  /** Such as `merge` or `rebase`. */
  operations: z.array(z.string()),
  /** Commits and stashes that could not be brought home. */
  commits: z.array(z.string()),
  /** How many entries the lists leave out. */
  omitted: z.number().int(),
})
export type WorkAtRisk = z.infer<typeof workAtRiskSchema>

/** Where the work of a removed session was kept. */
export const archiveSchema = z.object({
  id: archiveIdSchema,
  sessionId: sessionIdSchema,
  projectId: projectIdSchema,
  title: titleSchema.optional(),
  agent: slugSchema,
  branch: z.string(),
  createdAt: timestampSchema,
  /** It is not removed before then. */
  keptUntil: timestampSchema,
  /** Size of the archived layer and commits, in bytes. */
  bytes: z.number(),
  /** Of the archived layer. */
  sha256: z.string(),
  /** References of the project's repository that keep its commits. */
  refs: z.array(z.string()),
})
export type Archive = z.infer<typeof archiveSchema>

/** A token as it is listed; the secret itself is shown once, when it is made. */
export const tokenInfoSchema = z.object({
  id: z.string(),
  role: roleSchema,
  name: z.string(),
  ...scopeSchema.shape,
  /** The token that a device logged in with: when that one is revoked, so is this. */
  madeFrom: z.string().optional(),
  createdAt: timestampSchema,
  lastUsedAt: timestampSchema.optional(),
  expiresAt: timestampSchema.optional(),
  revokedAt: timestampSchema.optional(),
})
export type TokenInfo = z.infer<typeof tokenInfoSchema>

/** Who a connection belongs to. */
export const principalSchema = z.object({
  tokenId: z.string(),
  name: z.string(),
  roles: z.array(roleSchema),
  ...scopeSchema.shape,
})
export type Principal = z.infer<typeof principalSchema>

/** One state-changing call, as the audit keeps it; inputs are not kept. */
export const auditRecordSchema = z.object({
  /** Counts up; an older record has a smaller one. */
  id: z.number().int(),
  at: timestampSchema,
  tokenId: z.string(),
  /** Name of the token. */
  by: z.string(),
  /** The procedure. */
  call: z.string(),
  /** What the call goes by in the logs; the id of its command, where it has one. */
  requestId: z.string().optional(),
  /** Where the call came from. */
  address: z.string(),
  endedAt: timestampSchema.optional(),
  /** `ok` or an error code; absent while it is under way, and for good when the relay was killed meanwhile. */
  outcome: z.string().optional(),
})
export type AuditRecord = z.infer<typeof auditRecordSchema>
