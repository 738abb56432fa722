/** Counts by a name of a closed list. */
export class Counts<Name extends string | number = string> {
  readonly #counts = new Map<Name, number>()

  /** One more of this. */
  add(name: Name): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  [Symbol.iterator](): IterableIterator<[Name, number]> {
    return this.#counts.entries()
  }
}
