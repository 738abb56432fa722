// The command of the fault tests: leaves a mark on disk under its own id before anything else, so that a second start shows.
import { appendFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'

const input = z.strictObject({
  file: z.string(),
  ms: z.number().optional(),
  fails: z.boolean().optional(),
  note: z.unknown().optional(),
})

/** What `commands.toml` names as the module of `mark`. */
export const command = {
  input,
  output: z.object({ marked: z.string() }),
  run: async (given: unknown, { commandId }: { commandId: string }) => {
    const { file, ms, fails } = input.parse(given)
    await appendFile(file, `${commandId}\n`)
    if (ms !== undefined) await sleep(ms)
    if (fails === true) throw new Error('it was asked to fail')
    return { marked: commandId }
  },
}
