import { z } from 'zod'

const mountSchema = z.object({
  destination: z.string(),
  type: z.string(),
  source: z.string(),
  options: z.array(z.string()),
})
/** What is mounted in a container, as its bundle says. */
export type BundleMount = z.output<typeof mountSchema>

/**
 * Of a bundle's `config.json` (OCI runtime specification 1.0.2) what a runtime without control groups can do. `uid` is the
 * first id of the container on the host, `rlimits` are options of prlimit(1).
 */
export const bundleSchema = z
  .object({
    hostname: z.string(),
    root: z.object({ path: z.string(), readonly: z.boolean() }),
    process: z.object({
      terminal: z.boolean(),
      user: z.object({ uid: z.number(), gid: z.number() }),
      args: z.array(z.string()).min(1),
      env: z.array(z.string()),
      cwd: z.string(),
      oomScoreAdj: z.number().int(),
      rlimits: z.array(z.object({ type: z.string(), hard: z.number() })),
    }),
    mounts: z.array(mountSchema),
    linux: z.object({
      uidMappings: z.array(z.object({ hostID: z.number() })).min(1),
      resources: z.object({ pids: z.object({ limit: z.number() }) }),
      maskedPaths: z.array(z.string()),
      readonlyPaths: z.array(z.string()),
    }),
  })
  .transform(({ linux, ...bundle }) => ({
    ...bundle,
    maskedPaths: linux.maskedPaths,
    readonlyPaths: linux.readonlyPaths,
    uid: linux.uidMappings[0]?.hostID ?? Number.NaN,
    rlimits: [
      ...bundle.process.rlimits.map(({ type, hard }) => ({ option: optionOf(type), value: hard })),
      // Counted per user by the kernel, so it holds for a session that has a range of user ids of its own.
      { option: 'nproc', value: linux.resources.pids.limit },
    ],
  }))

/** See {@link bundleSchema}. */
export type Bundle = z.output<typeof bundleSchema>

function optionOf(type: string): string {
  return type.replace(/^RLIMIT_/, '').toLowerCase()
}
