import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Callers, measureCapacity } from '@ai-orchestration/e2e/faults/callers'
import { FAULTS, type Fault } from '@ai-orchestration/e2e/faults/faults'
import { Ledger } from '@ai-orchestration/e2e/faults/ledger'
import { Random } from '@ai-orchestration/e2e/faults/random'
import { restartStorm, type StormOutcome } from '@ai-orchestration/e2e/faults/restart-storm'
import { sdkWatcher, slowReader, stockWatcher, type Watcher } from '@ai-orchestration/e2e/faults/watchers'
import { World } from '@ai-orchestration/e2e/faults/world'
import { CountingSession } from './counting-session.ts'
import { type Trend, Vitals } from './vitals.ts'

/** How a soak is to be. */
export interface SoakOptions {
  minutes: number
  seed: number
  /** Part of the measured capacity that clients ask for, in percent. */
  load: number
  /** Only faults whose name has this in it. */
  only: string
  /** Clients of the storm at the end; 0 for none. */
  storm: number
  /** Takes one line per thing that happens. */
  say: (line: string) => void
}

/** What a soak came to. */
export interface SoakSummary {
  seed: number
  minutes: number
  capacityPerSecond: number
  loadPerSecond: number
  commands: number
  refused: number
  heldBack: number
  events: number
  gaps: number
  storm: StormOutcome | undefined
  terminal: { numbers: number; told: number }
  faults: { name: string; did: string; tookMs: number; healedMs: number; p50Ms: number; p99Ms: number }[]
  trends: Trend[]
  databaseMb: number
  violations: string[]
}

/** Events that the relay keeps in a soak, in MiB: little, so that the limit is reached. */
const JOURNAL_MAX_MIB = 64
/** A command, its audit and its share of indexes on disk, in bytes, at most. */
const COMMAND_BYTES = 3_000
/** The log that SQLite writes ahead keeps up to this, in MiB, and grows beyond it while it is read. */
const WAL_MIB = 128
const CAPACITY_MS = 3_000
const SAMPLE_EVERY_MS = 15_000
const BETWEEN_FAULTS_MS = { min: 20_000, max: 40_000 }
/** Most faults are short; one in four is longer than every timeout of the protocol. */
const SHORT_MS = 8_000
const LONG_MS = 45_000
const LONG_SHARE = 0.25
/** Processes are killed in the first part only, so that the memory of those that are left can be followed. */
const RESTARTS_UNTIL = 0.4
const STORM_CLIENTS = 1_000
/** After the time is over, with a relay of its own: everybody loses it at once. */
const STORM = { orchestrators: 20, restarts: 3, resets: 1 }

/** Runs the whole platform under load and faults for some minutes, and says what did not hold. */
export async function soak({ minutes, seed, load, only, storm, say }: SoakOptions): Promise<SoakSummary> {
  const random = new Random(seed)
  const ledger = new Ledger()
  const stormLedger = new Ledger()
  const begun = performance.now()
  const endsAt = begun + minutes * 60_000
  await using vitals = await Vitals.open()
  await using world = await World.start({
    relayEnv: { JOURNAL_MAX_MIB: String(JOURNAL_MAX_MIB) },
    nodeArgs: vitals.nodeArgs,
  })
  await using clients = new AsyncDisposableStack()
  for (const watcher of await watchersOf(world, ledger, seed)) clients.use(watcher)
  const session = clients.use(await CountingSession.start(world, ledger, 2))
  const capacityPerSecond = await measureCapacity(world, ledger, CAPACITY_MS)
  const perSecond = Math.max(1, Math.round((capacityPerSecond * load) / 100))
  say(`${capacityPerSecond} commands per second at most; ${perSecond} asked for (${load} %)`)
  const callers = clients.use(new Callers(world, ledger, { random: new Random(seed + 1), perSecond }))

  const sampling = new AbortController()
  const sampled = sampleUntil(sampling.signal, vitals, world)
  const faults: SoakSummary['faults'] = []
  const deck = new Deck(random, only)
  let reported = 0
  while (performance.now() < endsAt) {
    const startedAt = performance.now()
    const mayRestart = startedAt - begun < RESTARTS_UNTIL * minutes * 60_000
    const fault = await inject(deck.next(mayRestart), { world, ledger, random })
    const [p50Ms, p99Ms] = percentiles(callers.takeLatencies())
    faults.push({ ...fault, p50Ms, p99Ms })
    const since = Math.round((performance.now() - begun) / 1_000)
    say(`${since} s  ${fault.name}: ${fault.did || 'done'}; healed after ${fault.healedMs} ms; p50 ${p50Ms} ms`)
    for (; reported < ledger.violations.length; reported += 1) say(`VIOLATION ${ledger.violations[reported]}`)
    const next = startedAt + random.between(BETWEEN_FAULTS_MS.min, BETWEEN_FAULTS_MS.max)
    await sleep(Math.max(2_000, Math.min(next, endsAt) - performance.now()))
  }
  say('no more faults; waiting for every answer')
  await callers.finish()
  await ledger.check(world.observer, world.marksFile)
  await session.check()
  sampling.abort()
  await sampled
  const trends = vitals.trends()
  for (const { process, problems } of trends) for (const problem of problems) ledger.violates(`${process}: ${problem}`)
  const databaseMb = await checkDatabase(world, ledger)
  await clients.disposeAsync()
  const stormed = storm === 0 ? undefined : await restartStorm({ ...STORM, clients: storm }, stormLedger)
  for (const violation of stormLedger.violations) ledger.violates(violation)
  return {
    ...{ seed, minutes, capacityPerSecond, loadPerSecond: perSecond, commands: ledger.asked },
    ...{ refused: callers.refused, heldBack: callers.heldBack, events: ledger.events, gaps: ledger.gaps },
    storm: stormed,
    terminal: { numbers: session.numbers, told: session.told },
    ...{ faults, trends, databaseMb, violations: ledger.violations },
  }
}

/** Faults in a random order, each once before any comes again. */
class Deck {
  readonly #random: Random
  readonly #all: readonly Fault[]
  #left: Fault[] = []

  constructor(random: Random, only: string) {
    this.#random = random
    this.#all = FAULTS.filter(({ name }) => name.includes(only))
  }

  next(mayRestart: boolean): Fault {
    const fits = (fault: Fault) => (fault.restarts !== undefined) === mayRestart
    const others = this.#left.filter(({ restarts }) => mayRestart || restarts === undefined)
    // Half of those that come early restart something, while that is still allowed.
    const preferred = mayRestart && this.#random.next() < 0.5 ? others.filter(fits) : others
    const from = preferred.length > 0 ? preferred : others
    if (from.length === 0) {
      this.#left = [...this.#all]
      return this.next(mayRestart || this.#all.every(({ restarts }) => restarts !== undefined))
    }
    const fault = this.#random.pick(from)
    this.#left = this.#left.filter((one) => one !== fault)
    return fault
  }
}

async function watchersOf(world: World, ledger: Ledger, seed: number): Promise<Watcher[]> {
  return [
    await sdkWatcher(world, ledger, { name: 'SDK watcher 1' }),
    await sdkWatcher(world, ledger, { name: 'SDK watcher 2' }),
    await sdkWatcher(world, ledger, {
      name: 'SDK watcher of ends',
      filter: { types: ['command_result', 'command_error'] },
      rules: { isFiltered: true },
    }),
    await stockWatcher(world, ledger, 'stock watcher'),
    await slowReader(world, ledger, 'slow reader', new Random(seed + 2)),
  ]
}

async function inject(
  { name, inject: act }: Fault,
  { world, ledger, random }: { world: World; ledger: Ledger; random: Random },
): Promise<{ name: string; did: string; tookMs: number; healedMs: number }> {
  const longestMs = random.next() < LONG_SHARE ? LONG_MS : SHORT_MS
  const startedAt = performance.now()
  const did = await act({ world, ledger, random, longestMs, stormClients: STORM_CLIENTS }).catch((error: unknown) => {
    ledger.violates(`${name} could not be done to the end: ${String(error)}\n${world.lastWords()}`)
    return 'failed'
  })
  const overAt = performance.now()
  await world.healed().catch((error: unknown) => ledger.violates(`C-5 after ${name}: ${String(error)}`))
  return {
    ...{ name, did, tookMs: Math.round(overAt - startedAt) },
    healedMs: Math.round(performance.now() - overAt),
  }
}

async function sampleUntil(signal: AbortSignal, vitals: Vitals, world: World): Promise<void> {
  while (!signal.aborted) {
    await vitals.sample('relay', world.relay.pid)
    for (const [index, { process }] of world.machines.entries())
      await vitals.sample(`orchestrator ${index}`, process.pid)
    await sleep(SAMPLE_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** The database is no larger than what is kept by policy: events up to the limit, and every command of eight days. */
async function checkDatabase({ relay }: World, ledger: Ledger): Promise<number> {
  const size = async (name: string) => (await stat(join(relay.aioHome, 'relay', name))).size / 2 ** 20
  const [database, log] = [await size('relay.db'), await size('relay.db-wal')]
  const mayBe = JOURNAL_MAX_MIB * 1.5 + (ledger.asked * COMMAND_BYTES) / 2 ** 20 + 4
  if (database > mayBe) ledger.violates(`the database has ${Math.round(database)} MiB, more than ${Math.round(mayBe)}`)
  if (log > WAL_MIB) ledger.violates(`the log of the database has ${Math.round(log)} MiB, more than ${WAL_MIB}`)
  return Math.round(database + log)
}

function percentiles(sorted: readonly number[]): [number, number] {
  const at = (part: number) => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? 0)
  return [at(0.5), at(0.99)]
}
