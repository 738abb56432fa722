import type { OrchestratorEvent, Publication } from '@ai-orchestration/protocol'

/** Events on their way to the relay: numbered, kept until the relay has taken them, sent again after a reconnect. */
export class Outbox {
  #lastSeq = 0
  #waiting: Publication['events'] = []
  #wake: (() => void) | undefined

  /** Most events in one call, and about the most bytes: the relay takes 1 MiB. */
  static readonly batchMaxEvents = 64
  static readonly batchMaxBytes = 768 * 1024

  /** Adds an event. */
  add(event: OrchestratorEvent): void {
    this.#lastSeq += 1
    this.#waiting.push({ seq: this.#lastSeq, event })
    this.#wake?.()
  }

  /** The next events to send, oldest first; empty when there is none. */
  batch(): Publication['events'] {
    const batch: Publication['events'] = []
    let bytes = 0
    for (const item of this.#waiting) {
      bytes += JSON.stringify(item).length
      if (batch.length > 0 && (batch.length === Outbox.batchMaxEvents || bytes > Outbox.batchMaxBytes)) break
      batch.push(item)
    }
    return batch
  }

  /** The relay has taken everything up to this number. */
  taken(seq: number): void {
    this.#waiting = this.#waiting.filter((item) => item.seq > seq)
  }

  /** Resolves when there is something to send, or the signal is aborted. */
  async filled(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length > 0 || signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = () => {
        signal.removeEventListener('abort', done)
        this.#wake = undefined
        resolve()
      }
      this.#wake = done
      signal.addEventListener('abort', done, { once: true })
    })
  }
}
