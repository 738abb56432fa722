import { lchown, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Permissions } from '@ai-orchestration/protocol'
import type { AgentSource } from './services.ts'
import { AGENT_HOST_UID } from './uid-range.ts'

/** Makes a session's home directory with what its agent wants to find there. Nothing runs in it yet. */
export async function makeHome(
  agents: AgentSource,
  agent: string,
  directory: string,
  options: { workspace: string; permissions: Permissions },
): Promise<void> {
  await mkdir(directory, { mode: 0o700 })
  await agents.seedHome(agent, directory, options)
  await giveToAgent(directory)
}

async function giveToAgent(path: string): Promise<void> {
  await lchown(path, AGENT_HOST_UID, AGENT_HOST_UID)
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const inner = join(path, entry.name)
    if (entry.isDirectory()) await giveToAgent(inner)
    else await lchown(inner, AGENT_HOST_UID, AGENT_HOST_UID)
  }
}
