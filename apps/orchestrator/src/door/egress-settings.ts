import { z } from 'zod'
import { PRESETS } from './package-hosts.ts'
import { type HostPattern, parseHostPattern } from './target.ts'

/** Longest a request may be held, in minutes: by then everything that waits for it has given up. */
const HOLD_MINUTES_MAX = 24 * 60

/** A host as lists name it: `host`, `*.suffix` or an address, with an optional port. */
export const hostPatternSchema = z.string().superRefine((text, context) => {
  if (parseHostPattern(text) !== undefined) return
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(text)} is not a host. Use host.example, *.host.example or an address, with :port unless it is 80 or 443.`,
  })
})

/** `[egress]` of a `project.toml`. */
export const egressSettingsSchema = z.strictObject({
  /** Hosts that sessions may reach. */
  allow: z.array(hostPatternSchema).default([]),
  /** Sets of hosts, as the package managers of this machine are configured. */
  presets: z.array(z.enum(PRESETS)).default([]),
  /** What becomes of other hosts: a person is asked, or they are refused at once. */
  unknown: z.enum(['ask', 'deny']).default('ask'),
  /** How long a request to such a host waits for an answer. */
  holdMinutes: z.number().positive().max(HOLD_MINUTES_MAX).default(10),
})

/** The patterns of a list that has been checked. */
export function hostPatterns(list: readonly string[]): HostPattern[] {
  return list.flatMap((text) => parseHostPattern(text) ?? [])
}
