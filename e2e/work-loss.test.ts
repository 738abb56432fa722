import { afterAll, beforeAll, it } from 'vitest'
import { type Platform, startPlatform } from './harness/platform.ts'
import { noWorkIsLost } from './work-loss/no-work-is-lost.ts'

let platform: Platform
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(async () => await platform[Symbol.asyncDispose]())

// `pnpm soak` tries it for longer, with other seeds.
const runs = Number(process.env['AIO_WORK_LOSS_RUNS'] ?? 8)
const seed = Number(process.env['AIO_WORK_LOSS_SEED'] ?? 20_261_122)

it(
  `D-01: no work is lost, ${runs} states from seed ${seed}`,
  async () => await noWorkIsLost(platform, { runs, seed }),
  60_000 + runs * 60_000,
)
