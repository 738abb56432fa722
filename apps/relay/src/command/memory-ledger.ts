import { isFinal } from '@ai-orchestration/protocol'
import type { Entry, Ledger } from './ledger.ts'

/** Keeps commands in memory, for tests and as a baseline; final ones are bounded by count and by the size of their answers, and the oldest go first. */
export class MemoryLedger implements Ledger {
  readonly #open = new Map<string, Entry>()
  readonly #final = new Map<string, { entry: Entry; bytes: number }>()
  readonly #maxFinal: number
  readonly #maxBytes: number
  #bytes = 0

  constructor(options: { maxFinal?: number; maxBytes?: number } = {}) {
    this.#maxFinal = options.maxFinal ?? 10_000
    this.#maxBytes = options.maxBytes ?? 64 * 1024 * 1024
  }

  get openCount(): number {
    return this.#open.size
  }

  get(commandId: string): Entry | undefined {
    return this.#open.get(commandId) ?? this.#final.get(commandId)?.entry
  }

  accept(entry: Entry): Promise<void> {
    this.put(entry)
    return Promise.resolve()
  }

  settled(): Promise<void> {
    return Promise.resolve()
  }

  put(entry: Entry): void {
    const { commandId, state } = entry.command
    if (!isFinal(state)) {
      this.#open.set(commandId, entry)
      return
    }
    this.#open.delete(commandId)
    const bytes = JSON.stringify(entry.command).length
    this.#bytes += bytes - (this.#final.get(commandId)?.bytes ?? 0)
    this.#final.set(commandId, { entry, bytes })
    this.#forgetOldest()
  }

  open(): Iterable<Entry> {
    return this.#open.values()
  }

  newestFirst(): Iterable<Entry> {
    const all = [...this.#final.values().map(({ entry }) => entry), ...this.#open.values()]
    // A ULID is not a clock we trust across clients, so the relay's own time orders them.
    return all.sort((a, b) => b.command.createdAt.localeCompare(a.command.createdAt))
  }

  #forgetOldest(): void {
    for (const [commandId, { bytes }] of this.#final) {
      if (this.#final.size <= this.#maxFinal && this.#bytes <= this.#maxBytes) return
      if (this.#final.size === 1) return // the newest stays, however large
      this.#final.delete(commandId)
      this.#bytes -= bytes
    }
  }
}
