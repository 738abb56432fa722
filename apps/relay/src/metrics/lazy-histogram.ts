import { Histogram, type Registry } from 'prom-client'
import type { Buckets } from './buckets.ts'

/** One line of a histogram: its labels and its numbers. */
export type Series<Label extends string> = [Partial<Record<Label, string>>, Buckets]

interface Line {
  metricName: string
  labels: Partial<Record<string, string>>
  value: number
}

/** A histogram that is read from plain numbers when somebody asks, instead of being told of every value. */
export class LazyHistogram<Label extends string = never> extends Histogram<Label> {
  readonly #about: { name: string; help: string }
  readonly #series: () => Iterable<Series<Label>>

  constructor(options: {
    registry: Registry
    name: string
    help: string
    labelNames?: readonly Label[]
    series: () => Iterable<Series<Label>>
  }) {
    const { registry, name, help, labelNames = [], series } = options
    super({ name, help, labelNames: [...labelNames], registers: [registry] })
    this.#about = { name, help }
    this.#series = series
  }

  /** Where prom-client takes a histogram's lines from (15.1.3; a test holds it). */
  async getForPromString(): Promise<{ name: string; help: string; type: 'histogram'; values: Line[] }> {
    const values = [...this.#series()].flatMap(([labels, buckets]) => this.#lines(labels, buckets))
    return { ...this.#about, type: 'histogram', values }
  }

  #lines(labels: Partial<Record<string, string>>, { bounds, counts, sum }: Buckets): Line[] {
    const { name } = this.#about
    let count = 0
    const lines = counts.map((more, at) => {
      count += more
      return { metricName: `${name}_bucket`, labels: { ...labels, le: String(bounds[at] ?? '+Inf') }, value: count }
    })
    return [
      ...lines,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ]
  }
}
