import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { HostFacts } from '@ai-orchestration/protocol'

/**
 * What tells this machine from others. A copy of its disk has the same `installation`, and `hardware` where the kernel does not
 * tell root of it; two that run at once still differ in `boot`.
 */
export async function readHostFacts(): Promise<HostFacts> {
  const [installation, hardware, boot] = await Promise.all(
    ['/etc/machine-id', '/sys/class/dmi/id/product_uuid', '/proc/sys/kernel/random/boot_id'].map(hashOfFile),
  )
  return { installation, hardware, boot }
}

// Only its hash leaves the machine: the ids themselves are not for others (machine-id(5)).
async function hashOfFile(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '') // not every kernel, container or user has each of them
  const fact = text.trim()
  return fact === '' ? undefined : createHash('sha256').update(`aio ${path} ${fact}`).digest('hex')
}
