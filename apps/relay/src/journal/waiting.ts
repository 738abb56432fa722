/** Those who wait for the next event. */
export class Waiting {
  readonly #wakes = new Set<() => void>()

  /** Resolves at the next {@link wake}, or when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#wakes.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#wakes.add(wake)
      signal.addEventListener('abort', wake, { once: true })
    })
  }

  /** Wakes all. */
  wake(): void {
    for (const wake of this.#wakes) wake()
  }
}
