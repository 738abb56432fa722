import type { Store } from '../store/store.ts'

const KEY = 'taken ' // before the id of an orchestrator

/** How far one numbering of an orchestrator's events has been taken. */
export interface Taken {
  /** Names the numbering. */
  outbox: string
  seq: number
}

/** Remembers how far the events of each orchestrator have been taken, so that none is taken again after a restart. */
export interface TakenMarks {
  get(orchestratorId: string): Taken | undefined
  /** Kept together with the events that were added before it. */
  put(orchestratorId: string, taken: Taken): void
}

/** The marks in the relay's database. */
export class TakenTable implements TakenMarks {
  readonly #store: Store
  readonly #marks = new Map<string, Taken>()

  constructor(store: Store) {
    this.#store = store
    for (const { key, value } of store.rows('SELECT key, value FROM meta WHERE key GLOB ?', `${KEY}*`)) {
      const [seq, outbox] = splitOnce(String(value))
      this.#marks.set(String(key).slice(KEY.length), { outbox, seq: Number(seq) })
    }
  }

  get(orchestratorId: string): Taken | undefined {
    return this.#marks.get(orchestratorId)
  }

  put(orchestratorId: string, taken: Taken): void {
    this.#marks.set(orchestratorId, taken)
    this.#store.add({ statement: 'putMeta', values: [KEY + orchestratorId, `${taken.seq} ${taken.outbox}`] })
  }
}

/** The marks of a relay that keeps nothing. */
export function marksInMemory(): TakenMarks {
  const marks = new Map<string, Taken>()
  return { get: (id) => marks.get(id), put: (id, taken) => void marks.set(id, taken) }
}

function splitOnce(text: string): [string, string] {
  const at = text.indexOf(' ')
  return [text.slice(0, at), text.slice(at + 1)]
}
