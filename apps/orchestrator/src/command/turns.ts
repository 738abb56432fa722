interface Queue {
  free: number
  waiting: Turn[]
}

/** Queues by name, each of which lets so many in at a time, in the order in which they joined. */
export class Turns {
  readonly #queues = new Map<string, Queue>()

  /** Joins the end of a queue at once; `max` may have their turn at the same time. */
  join(name: string, max: number): Turn {
    const queue = this.#queues.get(name) ?? { free: max, waiting: [] }
    this.#queues.set(name, queue)
    const turn = new Turn((hadTurn) => {
      if (hadTurn) queue.free += 1
      else queue.waiting = queue.waiting.filter((other) => other !== turn)
      letIn(queue)
      if (queue.free === max && queue.waiting.length === 0) this.#queues.delete(name)
    })
    queue.waiting.push(turn)
    letIn(queue)
    return turn
  }
}

/** A place in a queue: it waits for its turn, then has it until it is disposed of. */
export class Turn implements Disposable {
  readonly #leave: (hadTurn: boolean) => void
  readonly #begun = Promise.withResolvers<void>()
  #hasTurn = false

  constructor(leave: (hadTurn: boolean) => void) {
    this.#leave = leave
  }

  /** It is its turn. */
  begin(): void {
    this.#hasTurn = true
    this.#begun.resolve()
  }

  /** Resolves when it is its turn. @throws the signal's reason when that is aborted first. */
  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([this.#begun.promise, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  /** Leaves the queue, whether it had its turn or not. */
  [Symbol.dispose](): void {
    this.#leave(this.#hasTurn)
  }
}

function letIn(queue: Queue): void {
  while (queue.free > 0) {
    const next = queue.waiting.shift()
    if (next === undefined) return
    queue.free -= 1
    next.begin()
  }
}
