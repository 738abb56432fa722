import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CommitWatch } from './commit-watch.ts'

const log = pino({ level: 'silent' })
let dir = ''
let looks = 0
const look = async () => {
  looks++
  return true
}
beforeEach(async () => {
  dir = await mkdtemp('/tmp/aio-watch-')
  await mkdir(join(dir, 'upper/.git/refs/heads/feature'), { recursive: true })
  looks = 0
})
afterEach(async () => await rm(dir, { recursive: true, force: true }))

describe('the watch for commits', () => {
  it('looks once for many signs, and again for later ones', async () => {
    using _watch = new CommitWatch(join(dir, 'upper'), look, log)
    for (let i = 0; i < 50; i++) await writeFile(join(dir, 'upper/.git', `file${i}`), 'x')
    await sleep(600)
    expect(looks).toBe(1)
    await rename(join(dir, 'upper/.git/file1'), join(dir, 'upper/.git/index'))
    await sleep(600)
    expect(looks).toBe(2)
  })
  it('sees a branch that moves', async () => {
    using _watch = new CommitWatch(join(dir, 'upper'), look, log)
    await writeFile(join(dir, 'upper/.git/refs/heads/feature/x'), 'x')
    await sleep(600)
    expect(looks).toBe(1)
  })
  it('does not follow a link that an agent put in its place', async () => {
    await mkdir(join(dir, 'host'))
    await rm(join(dir, 'upper/.git'), { recursive: true })
    await symlink(join(dir, 'host'), join(dir, 'upper/.git'))
    using _watch = new CommitWatch(join(dir, 'upper'), look, log)
    await writeFile(join(dir, 'host/index'), 'x')
    await sleep(600)
    expect(looks).toBe(0)
  })
  it('is over when it is disposed of', async () => {
    const watch = new CommitWatch(join(dir, 'upper'), look, log)
    await writeFile(join(dir, 'upper/.git/index'), 'x')
    watch[Symbol.dispose]()
    await sleep(600)
    expect(looks).toBe(0)
  })
})
