import { lchownSync, readdirSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
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
  // There already when its container has waited.
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await agents.seedHome(agent, directory, options)
  giveToAgent(directory)
}

function giveToAgent(path: string): void {
  lchownSync(path, AGENT_HOST_UID, AGENT_HOST_UID)
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inner = join(path, entry.name)
    if (entry.isDirectory()) giveToAgent(inner)
    else lchownSync(inner, AGENT_HOST_UID, AGENT_HOST_UID)
  }
}
