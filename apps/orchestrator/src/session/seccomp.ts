import { readFileSync } from 'node:fs'
import { AioError } from '@ai-orchestration/protocol'

const PROFILE = new URL('../../config/seccomp-x86_64.json', import.meta.url)

/** Only the native architecture: a filter for three costs 20 ms per start, this one 7. */
const ARCHITECTURES: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
}

/**
 * The filter of system calls: whatever is not allowed by name is refused. Names that an architecture lacks are passed
 * over by runc, so that one list serves both.
 *
 * @throws AioError ISOLATION_UNAVAILABLE on an architecture it was not made for.
 */
export function loadSeccompProfile(architecture: NodeJS.Architecture = process.arch): Record<string, unknown> {
  const name = ARCHITECTURES[architecture]
  if (name === undefined)
    throw new AioError(
      'ISOLATION_UNAVAILABLE',
      `There is no system call filter for ${architecture}. Sessions run on x86-64 and arm64 machines.`,
    )
  const profile: Record<string, unknown> = JSON.parse(readFileSync(PROFILE, 'utf8'))
  return { ...profile, architectures: [name] }
}
