import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Figure, median } from './report.ts'

const run = promisify(execFile)
const PROGRAM = join(import.meta.dirname, '../apps/relay/src/test-support/accept-rate.ts')

/** Commands that the relay's ledger accepts per second, each on stable storage before it counts, beside a ledger in memory. */
export async function benchRelayAccept(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const inFlight of [1, 64, 512]) {
    const { stdout } = await run(process.execPath, [PROGRAM, String(inFlight)])
    const { durable, memory }: { durable: number[]; memory: number[] } = JSON.parse(stdout)
    figures.push({
      what: `relay: durable accepts, ${inFlight} in flight`,
      unit: 'per second',
      ours: median(durable),
      baseline: 'the same in memory',
      theirs: median(memory),
      runs: durable.length,
    })
  }
  return figures
}
