import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import {
  AioError,
  type AioEvent,
  type Client,
  type Command,
  type CommandState,
  isFinal,
  parsePosition,
} from '@ai-orchestration/sdk'

/** What is known of one command from outside. */
interface Ask {
  /** Somebody was shown that it was accepted: its answer, or an event about it. */
  wasAccepted: boolean
  answer: Command | undefined
  /** Times that its end was told in the stream. */
  ends: number
  /** The relay's database was lost on purpose since: only what the machine promises holds. */
  isForgiven: boolean
}

/** Where one watcher stands. */
interface Standing {
  epoch: string
  seq: number
  isFiltered: boolean
}

/** How a watcher of the ledger is judged. */
export interface WatcherRules {
  /** It asked for some of the events only, so numbers may skip. */
  isFiltered?: boolean
  /** It may fall behind what is kept, and be told so. */
  maySeeGap?: boolean
  /** At least once, not exactly once: a client that does not drop repeats. */
  maySeeRepeats?: boolean
}

const NOT_STARTED: readonly CommandState[] = ['expired', 'rejected']
const CHECKS_AT_ONCE = 32 // calls in one frame
const CAUGHT_UP_WITHIN_MS = 45_000 // a backed-off client may wait for 30 seconds before it connects again
const ENDED_WITHIN_MS = 60_000 // C-5
const HISTORY_WITHIN_MS = 60_000
const REREADER = 'who reads all again'

/**
 * What clients saw, written down outside the platform. After a fault has healed it is held against what the relay says, and
 * against the marks that commands left on disk (C-1 to C-6, E-1 to E-3).
 */
export class Ledger {
  readonly violations: string[] = []
  readonly #asks = new Map<string, Ask>()
  /** What each position holds, as the first who saw it saw it. */
  readonly #events = new Map<string, string>()
  readonly #watchers = new Map<string, Standing>()
  /** Every numbering of the relay that was seen, the present one last, with its first and last number. */
  readonly #epochs = new Map<string, { first: number; last: number }>()
  #gaps = 0
  #lossesOfDatabase = 0

  get asked(): number {
    return this.#asks.size
  }

  /** How many `gap` items watchers were given. */
  get gaps(): number {
    return this.#gaps
  }

  get events(): number {
    return this.#events.size
  }

  /** Somebody asks for a command. The same id may be asked for often. */
  asks(commandId: string): void {
    this.#ask(commandId)
  }

  /** Somebody was given this as the final state of a command. */
  answers(command: Command): void {
    const ask = this.#ask(command.commandId)
    ask.wasAccepted = true
    if (!isFinal(command.state)) this.#violated(`${command.commandId} was answered as ${command.state}`)
    if (ask.answer === undefined) ask.answer = command
    else if (!isSameAnswer(ask.answer, command) && !ask.isForgiven)
      this.#violated(`C-3 ${command.commandId} had two answers: ${told(ask.answer)} and ${told(command)}`)
  }

  /** The relay's database is about to be destroyed: what it was told before is gone, which it must say (F-24). */
  losesDatabase(): void {
    this.#lossesOfDatabase += 1
    for (const ask of this.#asks.values()) ask.isForgiven = true
  }

  /** A watcher was given an event. */
  sees(watcher: string, event: AioEvent, rules: WatcherRules = {}): void {
    const now: Standing = { ...parsePosition(event.position), isFiltered: rules.isFiltered ?? false }
    const before = this.#watchers.get(watcher)
    this.#watchers.set(watcher, now)
    if (event.type === 'gap') {
      this.#gaps += 1
      if (rules.maySeeGap !== true && !this.#explains(event.reason))
        this.#violated(`E-2 ${watcher} was given a gap (${event.reason}) from ${event.from} to ${event.to}`)
      return
    }
    if (event.type === 'snapshot') return
    this.#compare(watcher, event)
    if (before === undefined) return
    if (before.epoch !== now.epoch)
      this.#violated(`E-3 ${watcher} went from epoch ${before.epoch} to ${now.epoch} without a gap`)
    else if (now.seq <= before.seq) {
      if (rules.maySeeRepeats !== true)
        this.#violated(`E-1 ${watcher} was given ${event.position} behind ${before.seq}`)
    } else if (now.seq !== before.seq + 1 && rules.isFiltered !== true)
      this.#violated(`E-2 ${watcher} has a hole: ${before.seq} was followed by ${now.seq}`)
  }

  /** Something else that must not be. */
  violates(what: string): void {
    this.#violated(what)
  }

  /** Once all has healed: holds what was seen against what the relay and the disk say. */
  async check(aio: Client, marksFile: string): Promise<void> {
    await this.#allTold()
    await this.#untilAllEnded(aio)
    await this.checkWatchers()
    await this.#checkHistory(aio)
    const marks = await countMarks(marksFile)
    const ids = [...this.#asks.keys()]
    for (let at = 0; at < ids.length; at += CHECKS_AT_ONCE)
      await Promise.all(ids.slice(at, at + CHECKS_AT_ONCE).map((id) => this.#checkCommand(aio, id, marks.get(id) ?? 0)))
    for (const id of marks.keys()) if (!this.#asks.has(id)) this.#violated(`${id} ran and nobody asked for it`)
  }

  /** Who was refused an answer may have a command that still runs; all end in time, and are told to have (C-4, C-5). */
  async #untilAllEnded(aio: Client): Promise<void> {
    const deadline = performance.now() + ENDED_WITHIN_MS
    for (const [commandId, ask] of this.#asks) {
      if (ask.answer !== undefined && (ask.ends > 0 || ask.isForgiven)) continue
      for (;;) {
        const command = await known(aio, commandId)
        if (command === undefined) break
        if (isFinal(command.state) && (ask.ends > 0 || ask.isForgiven)) break
        if (performance.now() > deadline) break
        await sleep(50)
      }
    }
  }

  async #checkCommand(aio: Client, commandId: string, marks: number): Promise<void> {
    const ask = this.#ask(commandId)
    if (marks > 1) this.#violated(`C-2 ${commandId} was started ${marks} times`)
    const command = await known(aio, commandId)
    if (command === undefined) {
      if (ask.isForgiven) return
      if (ask.wasAccepted) this.#violated(`C-1 ${commandId} was accepted and is lost`)
      if (marks > 0) this.#violated(`C-1 ${commandId} ran and the relay does not know it`)
      return
    }
    if (!isFinal(command.state)) this.#violated(`C-4 ${commandId} is still ${command.state}`)
    if (command.state === 'succeeded' && marks !== 1) this.#violated(`C-2 ${commandId} succeeded with ${marks} marks`)
    if (NOT_STARTED.includes(command.state) && marks > 0 && !ask.isForgiven)
      this.#violated(`C-4 ${commandId} is called ${command.state} and had started`)
    if (ask.answer !== undefined && !isSameAnswer(ask.answer, command) && !ask.isForgiven)
      this.#violated(`C-3 ${commandId} was answered ${told(ask.answer)} and is now ${told(command)}`)
    if (ask.ends !== 1 && !ask.isForgiven) this.#violated(`C-4 the end of ${commandId} was told ${ask.ends} times`)
  }

  // All who watch may have been cut off together: then the newest event that any of them has seen is not the end.
  async #allTold(): Promise<void> {
    const isUntold = (ask: Ask) => ask.answer !== undefined && ask.ends === 0 && !ask.isForgiven
    const deadline = performance.now() + CAUGHT_UP_WITHIN_MS
    while ([...this.#asks.values()].some(isUntold) && performance.now() < deadline) await sleep(50)
  }

  /** All who watch come to the end (E-7). */
  async checkWatchers(): Promise<void> {
    const behind = () => {
      const [epoch, { last }] = this.#present()
      return [...this.#watchers].filter(([, at]) => !at.isFiltered && (at.epoch !== epoch || at.seq < last))
    }
    const deadline = performance.now() + CAUGHT_UP_WITHIN_MS
    while (behind().length > 0 && performance.now() < deadline) await sleep(50)
    const [epoch, { last }] = this.#present()
    for (const [name, at] of behind())
      this.#violated(`E-7 ${name} stands at ${at.epoch}.${at.seq}, not at ${epoch}.${last}`)
  }

  /** Reads all that is kept again: it must be what was seen live, without a hole. */
  async #checkHistory(aio: Client): Promise<void> {
    const [epoch, { first, last }] = this.#present()
    if (last === 0) return
    const signal = AbortSignal.timeout(HISTORY_WITHIN_MS)
    let seq = 0
    for await (const event of aio.events({ after: `${epoch}.${first}` }, { signal })) {
      this.sees(REREADER, event, { maySeeGap: true })
      seq = parsePosition(event.position).seq
      if (seq >= last) break
    }
    this.#watchers.delete(REREADER)
    if (first < last && seq < last) this.#violated(`E-2 reading all again ended at ${seq} of ${last}`)
  }

  #present(): [string, { first: number; last: number }] {
    return [...this.#epochs].at(-1) ?? ['', { first: 0, last: 0 }]
  }

  #compare(watcher: string, event: AioEvent): void {
    const text = fingerprint(event)
    const known = this.#events.get(event.position)
    if (known === undefined) {
      const { epoch, seq } = parsePosition(event.position)
      const span = this.#epochs.get(epoch)
      if (span === undefined) this.#epochs.set(epoch, { first: seq, last: seq })
      else span.last = Math.max(span.last, seq)
      this.#events.set(event.position, text)
      this.#count(event)
    } else if (known !== text)
      this.#violated(`E-1 ${watcher} has another event at ${event.position}: ${text}, not ${known}`)
  }

  #count(event: AioEvent): void {
    if (!('commandId' in event) || event.commandId === undefined) return
    const ask = this.#asks.get(event.commandId)
    if (ask === undefined) return
    ask.wasAccepted = true
    if (event.type === 'command_result' || event.type === 'command_error') ask.ends += 1
  }

  #explains(reason: Extract<AioEvent, { type: 'gap' }>['reason']): boolean {
    return this.#lossesOfDatabase > 0 && (reason === 'corruption' || reason === 'epoch')
  }

  #ask(commandId: string): Ask {
    const known = this.#asks.get(commandId)
    if (known !== undefined) return known
    const ask: Ask = { wasAccepted: false, answer: undefined, ends: 0, isForgiven: false }
    this.#asks.set(commandId, ask)
    return ask
  }

  #violated(what: string): void {
    this.violations.push(what)
  }
}

/** How often each command left its mark. */
export async function countMarks(marksFile: string): Promise<Map<string, number>> {
  const marks = new Map<string, number>()
  for (const id of (await readFile(marksFile, 'utf8')).split('\n'))
    if (id !== '') marks.set(id, (marks.get(id) ?? 0) + 1)
  return marks
}

async function known(aio: Client, commandId: string): Promise<Command | undefined> {
  try {
    return await aio.commands.get.query({ commandId })
  } catch (error) {
    if (error instanceof AioError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

function isSameAnswer(one: Command, other: Command): boolean {
  return (
    one.state === other.state && isDeepStrictEqual([one.output, one.error?.code], [other.output, other.error?.code])
  )
}

function told({ state, output, error }: Command): string {
  return `${state} ${JSON.stringify(output ?? error?.code ?? '')}`
}

function fingerprint(event: AioEvent): string {
  const about = 'commandId' in event ? event.commandId : 'orchestratorId' in event ? event.orchestratorId : ''
  return `${event.type} ${about} ${event.at}`
}
