import type { Ledger } from '@ai-orchestration/e2e/faults/ledger'
import type { World } from '@ai-orchestration/e2e/faults/world'
import { exec } from '@ai-orchestration/e2e/platform'
import { AioError, type Client, type TerminalItem } from '@ai-orchestration/sdk'

const COUNT = 'i=0; while :; do echo "n=$i."; i=$((i+1)); sleep 0.05; done\r'

/** A real session that counts for ever, and people who watch it: a number that is missing is a hole nobody was told of. */
export class CountingSession implements AsyncDisposable {
  readonly #clients: Client[] = []
  readonly #watching: Promise<void>[] = []
  readonly #ledger: Ledger
  readonly #sessionId: string
  readonly #aioRun: string
  readonly #pid: number
  #isOver = false
  /** Numbers that were read by all viewers. */
  numbers = 0
  /** Times that a viewer was told that it has missed something. */
  told = 0

  private constructor(ledger: Ledger, { sessionId, aioRun, pid }: { sessionId: string; aioRun: string; pid: number }) {
    this.#ledger = ledger
    this.#sessionId = sessionId
    this.#aioRun = aioRun
    this.#pid = pid
  }

  static async start(world: World, ledger: Ledger, viewers: number): Promise<CountingSession> {
    const [machine] = world.machines
    if (machine === undefined) throw new Error('there is no machine for a session')
    const aio = world.observer
    await aio.projects.create.mutate({ name: 'soak', orchestratorId: machine.id })
    const { id: sessionId } = await aio.sessions.create.mutate({ projectId: 'soak', name: 'count', agent: 'shell' })
    await aio.terminal.write.mutate({ sessionId, data: COUNT })
    const { aioRun } = machine.process
    const session = new CountingSession(ledger, { sessionId, aioRun, pid: await pidOf(aioRun, sessionId) })
    for (let index = 0; index < viewers; index += 1) session.#watch(world.client(), `viewer ${index}`)
    return session
  }

  /** The agent's process must be the one it was at the start (V). */
  async check(): Promise<void> {
    const pid = await pidOf(this.#aioRun, this.#sessionId).catch(() => 0)
    if (pid !== this.#pid) this.#ledger.violates(`V the session's process was ${this.#pid} and is ${pid}`)
    if (this.numbers === 0) this.#ledger.violates('no viewer of the terminal has read anything')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true
    for (const client of this.#clients) await client.close()
    await Promise.all(this.#watching)
  }

  #watch(client: Client, name: string): void {
    this.#clients.push(client)
    this.#watching.push(this.#keepWatching(client, name))
  }

  async #keepWatching(client: Client, name: string): Promise<void> {
    while (!this.#isOver) {
      const count = new Count((problem) => this.#ledger.violates(`E-6 ${name}: ${problem}`))
      try {
        const terminal = await client.terminal(this.#sessionId)
        for await (const item of terminal) {
          this.numbers += count.take(item)
          if (item.type === 'truncated') this.told += 1
        }
      } catch (error) {
        // A terminal that was away for too long says so and is opened again, as a person would.
        if (!(error instanceof AioError)) throw error
        this.told += 1
      }
    }
  }
}

/** Follows the numbers that a terminal shows. */
class Count {
  readonly #onHole: (problem: string) => void
  #rest = ''
  #last: number | undefined

  constructor(onHole: (problem: string) => void) {
    this.#onHole = onHole
  }

  /** @returns how many numbers there were in it. */
  take(item: TerminalItem): number {
    if (item.type !== 'data') {
      this.#rest = ''
      this.#last = undefined
      return 0
    }
    const lines = (this.#rest + item.data).split('\n')
    this.#rest = lines.pop() ?? ''
    let count = 0
    for (const line of lines) {
      const number = /^n=(\d+)\.\r?$/.exec(line)?.[1]
      if (number === undefined) continue
      count += 1
      if (this.#last !== undefined && Number(number) !== this.#last + 1)
        this.#onHole(`${this.#last} was followed by ${number}`)
      this.#last = Number(number)
    }
    return count
  }
}

async function pidOf(aioRun: string, sessionId: string): Promise<number> {
  const state: { pid: number } = JSON.parse(
    await exec('runc', ['--root', `${aioRun}/runc`, 'state', `claude-${sessionId}`]),
  )
  return state.pid
}
