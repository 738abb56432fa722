import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { lockDirectories } from './lock-directories.ts'

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'aio-lock-'))
  onTestFinished(async () => await rm(path, { recursive: true, force: true }))
  return path
}

it('lets one holder in at a time and names the directory that is taken', async () => {
  const home = await directory()
  const run = await directory()
  {
    await using _first = await lockDirectories([home, run])
    await expect(lockDirectories([run])).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(run),
    })
  }
  await using _second = await lockDirectories([home, run])
})

it('holds nothing when it could not hold all', async () => {
  const free = await directory()
  const taken = await directory()
  await using _holder = await lockDirectories([taken])
  await expect(lockDirectories([free, taken])).rejects.toMatchObject({ code: 'CONFLICT' })
  await using _again = await lockDirectories([free])
})
