/** What a figure is to reach, from the goals table of docs/performance.md. */
export interface Goal {
  /** The ratio to the baseline, or our own value when there is nothing to divide by. */
  of: 'ratio' | 'value'
  better: 'lower' | 'higher'
  atLeast: number
  aim: number
}

/** One measured cost beside its baseline. */
export interface Figure {
  what: string
  unit: 'ms' | 'µs' | 'per second' | 'MB' | 'kB' | 'MB/s'
  /** Median of ours. */
  ours: number
  baseline: string
  /** Median of the baseline, measured in the same run and interleaved with ours. */
  theirs: number
  /** How many times each was measured. */
  runs: number
  goal?: Goal
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

/** How a figure stands to its goal; `undefined` when it has none. */
export function standing(figure: Figure): 'aim' | 'at least' | 'missed' | undefined {
  const { goal } = figure
  if (goal === undefined) return undefined
  const value = goal.of === 'ratio' ? ratioOf(figure) : figure.ours
  const reaches = (bound: number) => (goal.better === 'lower' ? value <= bound : value >= bound)
  if (reaches(goal.aim)) return 'aim'
  return reaches(goal.atLeast) ? 'at least' : 'missed'
}

/** Prints figures as a table for people, or as one JSON value. */
export function printFigures(figures: readonly Figure[], isJson: boolean): void {
  if (isJson) {
    console.log(
      JSON.stringify({
        at: new Date().toISOString(),
        node: process.version,
        figures: figures.map((figure) => ({ ...figure, ratio: ratioOf(figure), reached: standing(figure) })),
      }),
    )
    return
  }
  for (const figure of figures) {
    const { what, ours, unit, baseline, theirs, runs } = figure
    console.log(
      `${what}: ${round(ours)} ${unit}, ${round(ratioOf(figure))} times ${baseline} (${round(theirs)} ${unit}; medians of ${runs})${goalText(figure)}`,
    )
  }
}

/** Prints figures as the table of docs/performance.md. */
export function printMarkdown(figures: readonly Figure[]): void {
  console.log('| what | ours | beside | its figure | ratio | goal (aim) | |\n|---|---|---|---|---|---|---|')
  for (const figure of figures) {
    const { what, ours, unit, baseline, theirs, goal } = figure
    const reached = standing(figure)
    const verdict =
      reached === undefined ? '' : reached === 'missed' ? '**missed**' : reached === 'aim' ? 'aim' : 'reached'
    const bounds =
      goal === undefined ? '' : `${goal.better === 'lower' ? '≤' : '≥'} ${round(goal.atLeast)} (${round(goal.aim)})`
    const cells = [what.replace(/^[a-z]+: /, ''), `${round(ours)} ${unit}`, baseline, `${round(theirs)} ${unit}`]
    console.log(`| ${[...cells, round(ratioOf(figure)), bounds, verdict].join(' | ')} |`)
  }
}

function goalText(figure: Figure): string {
  const { goal } = figure
  if (goal === undefined) return ''
  return `; goal ${goal.better === 'lower' ? '≤' : '≥'} ${round(goal.atLeast)}, aim ${round(goal.aim)}: ${standing(figure)}`
}

function round(value: number): string {
  return String(Number(value.toPrecision(3)))
}
