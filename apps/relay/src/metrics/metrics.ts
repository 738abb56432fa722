import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Sockets } from '../edge/sockets.ts'
import type { Services } from '../services.ts'
import { LazyHistogram } from './lazy-histogram.ts'

type Labels = Record<string, string>
/** A value with its labels. */
type Sample = readonly [Labels, number]

interface Definition {
  name: string
  /** In words for whoever is woken by it. */
  help: string
  labelNames?: readonly string[]
  read: () => Iterable<Sample>
}

/** What the relay tells Prometheus. The rooms count in plain numbers; all else is done when somebody asks. */
export class Metrics {
  readonly #rooms: { services: Services; sockets: Sockets }
  #registry: Registry | undefined

  constructor(rooms: { services: Services; sockets: Sockets }) {
    this.#rooms = rooms
  }

  /** All metrics as text, and what type of text that is. */
  async text(): Promise<{ contentType: string; body: string }> {
    this.#registry ??= this.#register()
    return { contentType: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  #register(): Registry {
    const registry = new Registry()
    const { services, sockets } = this.#rooms
    // Of the process and its event loop. What these cost is paid from the first time somebody asks.
    collectDefaultMetrics({ register: registry })
    for (const definition of gauges(services, sockets)) addGauge(registry, definition)
    for (const definition of counters(services, sockets)) addCounter(registry, definition)
    addHistograms(registry, services)
    return registry
  }
}

function gauges({ storage, fleet, watch, streams, draining }: Services, sockets: Sockets): Definition[] {
  const one = (read: () => number) => () => [[{}, read()] as const]
  return [
    {
      name: 'aio_sockets',
      help: 'WebSockets that are open, by who is at the other end; "waiting" has not presented a token yet.',
      labelNames: ['role'],
      read: () => Object.entries(sockets.census()).map(([role, count]) => [{ role }, count] as const),
    },
    { name: 'aio_watchers', help: 'Open subscriptions to events.', read: one(() => watch.watcherCount) },
    { name: 'aio_streams', help: 'Open terminals and execs.', read: one(() => streams.count) },
    {
      name: 'aio_orchestrators_online',
      help: 'Orchestrators that are connected.',
      read: one(() => fleet.onlineCount()),
    },
    {
      name: 'aio_draining',
      help: '1 while the relay is stopping and takes nothing new.',
      read: one(() => Number(draining.isOn)),
    },
    {
      name: 'aio_store_failing',
      help: '1 while the database cannot be written: no command is accepted then.',
      read: one(() => Number(storage.trouble !== undefined)),
    },
    {
      name: 'aio_store_backlog_entries',
      help: 'Changes that wait to be written to the database.',
      read: one(() => storage.backlog),
    },
  ]
}

function counters({ storage, calls, endings, watch }: Services, sockets: Sockets): Definition[] {
  const { tally } = storage
  return [
    {
      name: 'aio_calls_total',
      help: 'Calls that were answered, by procedure and outcome; "ok" or an error code.',
      labelNames: ['procedure', 'code'],
      read: () =>
        [...calls].flatMap(([procedure, { outcomes }]) =>
          [...outcomes].map(([code, count]) => [{ procedure, code }, count] as const),
        ),
    },
    {
      name: 'aio_commands_total',
      help: 'Commands that ended, by how.',
      labelNames: ['state'],
      read: () => [...endings.states].map(([state, count]) => [{ state }, count] as const),
    },
    { name: 'aio_deliveries_total', help: 'Events handed to watchers.', read: () => [[{}, watch.deliveries]] },
    {
      name: 'aio_sent_bytes_total',
      help: 'Bytes written to WebSockets.',
      read: () => [[{}, sockets.traffic.sentBytes]],
    },
    {
      name: 'aio_gaps_total',
      help: 'Times a watcher was told that it missed something, by why.',
      labelNames: ['reason'],
      read: () => [...watch.gaps].map(([reason, count]) => [{ reason }, count] as const),
    },
    {
      name: 'aio_socket_closes_total',
      help: 'WebSockets that the relay closed, by close code; 4008 is a peer that did not read fast enough.',
      labelNames: ['code'],
      read: () => [...sockets.traffic.closes].map(([code, count]) => [{ code: String(code) }, count] as const),
    },
    {
      name: 'aio_sockets_refused_total',
      help: 'Upgrades that were answered with 503.',
      read: () => [[{}, sockets.traffic.refused]],
    },
    { name: 'aio_store_entries_total', help: 'Changes written to the database.', read: () => [[{}, tally.entries]] },
    {
      name: 'aio_journal_bytes_total',
      help: 'Bytes of events written to the journal.',
      read: () => [[{}, tally.eventBytes]],
    },
    {
      name: 'aio_store_failures_total',
      help: 'Times the database could not be written.',
      read: () => [[{}, tally.failures]],
    },
  ]
}

function addHistograms(registry: Registry, { calls, endings, storage }: Services): void {
  new LazyHistogram({
    registry,
    name: 'aio_call_seconds',
    help: 'Time from a call to its answer. A call that becomes a command is answered at the end of the command.',
    labelNames: ['procedure'],
    series: () => [...calls].map(([procedure, { seconds }]) => [{ procedure }, seconds]),
  })
  const { tally } = storage
  new LazyHistogram({
    registry,
    name: 'aio_command_seconds',
    help: 'Time from the acceptance of a command to its end.',
    series: () => [[{}, endings.seconds]],
  })
  new LazyHistogram({
    registry,
    name: 'aio_store_commit_seconds',
    help: 'Time to put one batch of changes on stable storage, the fsync included.',
    series: () => [[{}, tally.commitSeconds]],
  })
  new LazyHistogram({
    registry,
    name: 'aio_store_batch_entries',
    help: 'Changes that were written together.',
    series: () => [[{}, tally.batchEntries]],
  })
}

function addGauge(registry: Registry, { name, help, labelNames = [], read }: Definition): void {
  new Gauge({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.set(labels, value)
    },
  })
}

function addCounter(registry: Registry, { name, help, labelNames = [], read }: Definition): void {
  new Counter({
    name,
    help,
    labelNames,
    registers: [registry],
    collect() {
      this.reset()
      for (const [labels, value] of read()) this.inc(labels, value)
    },
  })
}
