/** One measured cost beside its baseline. */
export interface Figure {
  what: string
  unit: 'ms' | 'µs' | 'per second'
  /** Median of ours. */
  ours: number
  baseline: string
  /** Median of the baseline, measured in the same run and interleaved with ours. */
  theirs: number
  /** How many times each was measured. */
  runs: number
}

/** The middle value. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted[Math.floor(sorted.length / 2)]
  if (middle === undefined) throw new Error('there is no median of nothing')
  return middle
}

/** Ours divided by the baseline. */
export function ratioOf(figure: Figure): number {
  return figure.ours / figure.theirs
}

/** Prints figures as a table for people, or as one JSON value. */
export function printFigures(figures: readonly Figure[], isJson: boolean): void {
  if (isJson) {
    console.log(
      JSON.stringify({
        at: new Date().toISOString(),
        node: process.version,
        figures: figures.map((figure) => ({ ...figure, ratio: ratioOf(figure) })),
      }),
    )
    return
  }
  for (const figure of figures) {
    const { what, ours, unit, baseline, theirs, runs } = figure
    console.log(
      `${what}: ${round(ours)} ${unit}, ${round(ratioOf(figure))} times ${baseline} (${round(theirs)} ${unit}; medians of ${runs})`,
    )
  }
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)))
}
