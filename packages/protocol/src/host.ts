import { z } from 'zod'
import { orchestratorIdSchema } from './ids.ts'

/** A fact is sent as its SHA-256, in hex: it is only ever compared. */
const factSchema = z.string().regex(/^[0-9a-f]{64}$/)

/** What tells one machine from another, as far as it can be read there. A copied disk takes only the first along. */
export const hostFactsSchema = z.object({
  /** The operating system's installation. */
  installation: factSchema.optional(),
  /** The hardware, or the virtual machine. */
  hardware: factSchema.optional(),
  /** Since when it runs: two that are connected at once and differ in this are two machines. */
  boot: factSchema.optional(),
})
export type HostFacts = z.infer<typeof hostFactsSchema>

/** What an orchestrator registers with: its facts, signed with its host key when its token is bound to one. */
export const hostProofSchema = z.object({
  facts: hostFactsSchema,
  /** Ed25519 over {@link hostStatement} with the relay's challenge, in base64. */
  signature: z.base64().max(200).optional(),
})
export type HostProof = z.infer<typeof hostProofSchema>

/** What a new orchestrator trades its code for a token with. */
export const enrollmentSchema = z.strictObject({
  orchestratorId: orchestratorIdSchema,
  /** Ed25519, as SPKI in base64. */
  publicKey: z.base64().max(200),
  facts: hostFactsSchema,
  /** Over {@link hostStatement} with the public key in place of a challenge. */
  signature: z.base64().max(200),
})
export type Enrollment = z.infer<typeof enrollmentSchema>

/** The text that a host key signs: what it is for comes first, so that no signature serves for another purpose. */
export function hostStatement(
  purpose: 'enroll' | 'register',
  about: { challenge: string; orchestratorId: string; facts: HostFacts },
): string {
  const { installation = '', hardware = '', boot = '' } = about.facts
  return ['aio-host-1', purpose, about.challenge, about.orchestratorId, installation, hardware, boot].join('\n')
}
