import { randomBytes, randomInt } from 'node:crypto'
import { exec } from '../harness/platform.ts'
import type { Direction } from './tcp-proxy.ts'

/** A hardware address that nobody has: packets for it leave and are taken by no one. */
const NOBODY = '02:00:00:00:00:99'

/**
 * A network namespace with one cable to this one. Packets can be lost in either direction, without a word to anybody: no reset, no
 * refusal, as when a cable is pulled or a firewall forgets a connection.
 */
export class NetworkNamespace implements AsyncDisposable {
  /** This side's address, as seen from inside. */
  readonly outside: string
  readonly inside: string
  readonly #name: string
  readonly #link: string

  private constructor() {
    this.#name = `aio-${randomBytes(4).toString('hex')}`
    this.#link = `aio${randomBytes(4).toString('hex')}` // with one more letter: 15 characters at most
    const subnet = `10.213.${randomInt(256)}`
    const base = 4 * randomInt(64)
    this.outside = `${subnet}.${base + 1}`
    this.inside = `${subnet}.${base + 2}`
  }

  /** Makes it. @throws Error without root, or where namespaces are not allowed. */
  static async open(): Promise<NetworkNamespace> {
    const network = new NetworkNamespace()
    const [far, near] = [`${network.#link}i`, `${network.#link}o`]
    await exec('ip', ['netns', 'add', network.#name])
    try {
      await exec('ip', ['link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', network.#name])
      await exec('ip', ['addr', 'add', `${network.outside}/30`, 'dev', near])
      await exec('ip', ['link', 'set', near, 'up'])
      await network.#exec('addr', 'add', `${network.inside}/30`, 'dev', far)
      await network.#exec('link', 'set', far, 'up')
      await network.#exec('link', 'set', 'lo', 'up')
      return network
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw error
    }
  }

  /** What makes a program run inside: put it before the program and its arguments. */
  get through(): string[] {
    return ['nsenter', `--net=/run/netns/${this.#name}`]
  }

  /** Loses every packet of a direction; `up` is from inside to outside. */
  async lose(direction: Direction): Promise<void> {
    const to = direction === 'up' ? this.outside : this.inside
    await this.#neighbour(direction, 'replace', to, 'lladdr', NOBODY, 'nud', 'permanent')
  }

  /** Lets packets of a direction pass again. */
  async pass(direction: Direction): Promise<void> {
    await this.#neighbour(direction, 'del', direction === 'up' ? this.outside : this.inside)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await exec('ip', ['netns', 'del', this.#name]) // its end of the cable goes with it, and the cable with its end
  }

  async #neighbour(direction: Direction, what: string, to: string, ...how: string[]): Promise<void> {
    if (direction === 'up') await this.#exec('neigh', what, to, 'dev', `${this.#link}i`, ...how)
    else await exec('ip', ['neigh', what, to, 'dev', `${this.#link}o`, ...how])
  }

  async #exec(...args: string[]): Promise<void> {
    const [file = '', ...enter] = this.through
    await exec(file, [...enter, 'ip', ...args])
  }
}
