// `pnpm soak [--minutes 10] [--seed N] [--load 30] [--only TEXT] [--storm 1000] [--json]`: the platform under load and random faults; exit status 1 when a promise broke.
import { parseArgs } from 'node:util'
import { type SoakSummary, soak } from './soak.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    load: { type: 'string', default: '30' },
    only: { type: 'string', default: '' },
    storm: { type: 'string', default: '1000' },
    json: { type: 'boolean', default: false },
  },
})
const [minutes, seed, load, storm] = [values.minutes, values.seed, values.load, values.storm].map(Number)
if (!isPositive(minutes) || !isPositive(load) || !isWhole(seed) || !isWhole(storm)) {
  console.error('--minutes and --load are numbers above 0, --seed and --storm whole numbers.')
  process.exit(2)
}
console.error(`seed ${seed}: pnpm soak --minutes ${minutes} --seed ${seed} --load ${load}`)
const summary = await soak({ minutes, seed, load, only: values.only, storm, say: (line) => console.error(line) })
if (values.json) console.log(JSON.stringify(summary, undefined, 2))
else print(summary)
process.exit(summary.violations.length === 0 ? 0 : 1)

function isPositive(value: number | undefined): value is number {
  return value !== undefined && Number.isFinite(value) && value > 0
}

function isWhole(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0
}

function print(summary: SoakSummary): void {
  const { commands, refused, heldBack, events, gaps, terminal, faults, trends, violations } = summary
  console.log(`\n${faults.length} faults in ${summary.minutes} minutes, seed ${summary.seed}`)
  console.table(
    faults.map(({ name, did, healedMs, p50Ms, p99Ms }) => ({
      ...{ fault: name, did, 'healed ms': healedMs, 'p50 ms': p50Ms, 'p99 ms': p99Ms },
    })),
  )
  console.table(
    trends.map(({ process, minutes, heapMb, rssMb, fds, timers }) => ({
      ...{ process, minutes, 'memory MB': arrow(heapMb), 'RSS MB': arrow(rssMb) },
      ...{ 'file descriptors': arrow(fds), timers: arrow(timers) },
    })),
  )
  console.log(
    `${commands} commands (${refused} refused, ${heldBack} held back), ${events} events, ${gaps} gaps told, ` +
      `${terminal.numbers} numbers read in terminals, database ${summary.databaseMb} MiB`,
  )
  if (summary.storm !== undefined) {
    const { backMs, rssMb } = summary.storm
    console.log(`storm: all back after ${backMs.join(', ')} ms, RSS of the relay ${arrow(rssMb)} MB`)
  }
  for (const violation of violations) console.log(`VIOLATION ${violation}`)
  console.log(violations.length === 0 ? 'Every promise held.' : `${violations.length} violations.`)
}

function arrow({ before, after }: { before: number; after: number }): string {
  return `${before} → ${after}`
}
