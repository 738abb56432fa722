import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { parseToml } from '../disk/parse-toml.ts'
import type { TurnUsage } from './turn-usage.ts'

const SHIPPED = fileURLToPath(new URL('../../config/prices.toml', import.meta.url))
const PER_TOKENS = 1_000_000

const amount = z.number().nonnegative()
const priceSchema = z.strictObject({
  model: z.string().min(1),
  input: amount,
  output: amount,
  cacheRead: amount,
  cacheWrite: amount,
})
const fileSchema = z.strictObject({ price: z.array(priceSchema).default([]) })

/** What calls cost, where that is known: the shipped table, and the admin's own before it. */
export class Prices {
  readonly #prices: readonly z.output<typeof priceSchema>[]

  /** Reads `$AIO_HOME/prices.toml`, if there is one, and the shipped table. @throws AioError INVALID_INPUT that names the file. */
  static async open(aioHome: string): Promise<Prices> {
    const own = join(aioHome, 'prices.toml')
    const ownText = await readFile(own, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return ''
      throw error
    })
    const files = [parseToml(own, ownText, fileSchema), parseToml(SHIPPED, await readFile(SHIPPED, 'utf8'), fileSchema)]
    return new Prices(files.flatMap(({ price }) => price))
  }

  constructor(prices: readonly z.output<typeof priceSchema>[]) {
    this.#prices = prices
  }

  /** What a call cost in US dollars; `undefined` when its model has no price. */
  of({ model, inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens }: TurnUsage): number | undefined {
    const price = this.#prices.find((each) => model?.startsWith(each.model))
    if (price === undefined) return undefined
    const sum =
      inputTokens * price.input +
      outputTokens * price.output +
      cacheReadTokens * price.cacheRead +
      cacheWriteTokens * price.cacheWrite
    return sum / PER_TOKENS
  }
}
