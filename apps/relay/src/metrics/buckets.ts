/** How values are distributed, in plain numbers: adding one costs a comparison per bound below it. */
export class Buckets {
  readonly bounds: readonly number[]
  /** How many values lie above the bound before and not above this one; the last counts those above all bounds. */
  readonly counts: number[]
  sum = 0

  /** @param bounds upper bounds, smallest first. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0)
  }

  /** Adds a value. */
  add(value: number): void {
    const { bounds, counts } = this
    let at = 0
    while (at < bounds.length && value > (bounds[at] ?? 0)) at += 1
    counts[at] = (counts[at] ?? 0) + 1
    this.sum += value
  }
}

/** Bounds in seconds, from what a call in memory takes to what a person gives up at. */
export const CALL_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600]
/** Bounds in seconds, from a disk with a cache of its own to one that is failing. */
export const COMMIT_SECONDS = [0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5]
/** Bounds in entries. */
export const BATCH_ENTRIES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096]
