/** How far a build has come. */
export interface Progress {
  /** From 0 to 100. */
  percent: number
  message: string
}

interface Phase {
  begins: RegExp
  message: string
  /** Where it begins and ends in percent, by the time phases took when measured. */
  from: number
  to: number
  /** Lines that each bring the phase one further, and how many of them there are for a package. */
  counts?: RegExp
  perPackage?: number
}

const PHASES: readonly Phase[] = [
  { begins: /^I: running apt-get update/, message: 'Reading package lists', from: 1, to: 8 },
  {
    begins: /^I: downloading packages/,
    message: 'Downloading the base system',
    from: 8,
    to: 18,
    counts: /^Get:\d/,
    perPackage: 1,
  },
  { begins: /^I: extracting archives/, message: 'Unpacking the base system', from: 18, to: 24 },
  {
    begins: /^I: installing essential/,
    message: 'Installing the base system',
    from: 24,
    to: 55,
    counts: /^(Unpacking|Setting up) /,
    perPackage: 2,
  },
  {
    begins: /^I: installing remaining/,
    message: 'Installing git and the other tools',
    from: 55,
    to: 94,
    counts: /^(Get:\d|(Unpacking|Setting up) )/,
    perPackage: 3,
  },
  { begins: /^I: cleaning/, message: 'Cleaning up', from: 94, to: 95 },
]

/** Turns what `mmdebstrap --verbose` says into progress. */
export class BuildProgress {
  #phase: Phase | undefined
  #packages = 0
  #done = 0

  /** Takes one line. @returns progress when the line means some. */
  read(line: string): Progress | undefined {
    const next = PHASES.find(({ begins }) => begins.test(line))
    if (next !== undefined) {
      this.#phase = next
      this.#done = 0
      return { percent: next.from, message: next.message }
    }
    const packages = /^\d+ upgraded, (\d+) newly installed/.exec(line)?.[1]
    if (packages !== undefined) this.#packages = Number(packages)
    const phase = this.#phase
    if (phase?.counts?.test(line) !== true || this.#packages === 0) return undefined
    this.#done += 1
    const share = Math.min(1, this.#done / (this.#packages * (phase.perPackage ?? 1)))
    const name = /^(?:Unpacking|Setting up) ([^\s:]+)/.exec(line)?.[1]
    return {
      percent: phase.from + (phase.to - phase.from) * share,
      message: name === undefined ? phase.message : `${phase.message}: ${name}`,
    }
  }
}
