import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { StepList } from '../command/steps.ts'
import { run } from '../process/run.ts'
import { TestMachine } from './test-machine.ts'

const steps = () => new StepList(new AbortController().signal, () => undefined)
const eventually = { timeout: 30_000, interval: 50 }

let machine: TestMachine

beforeEach(async () => {
  machine = await TestMachine.start()
  await machine.project('shop')
}, 60_000)

afterEach(async () => {
  await machine[Symbol.asyncDispose]()
}, 60_000)

async function fill(size: number): Promise<void> {
  await machine.projects.update({ projectId: 'shop', pool: size }, steps())
  await machine.sessions.warm('shop')
}

async function waiting(): Promise<{ id: string; pid: number }[]> {
  return (await machine.runc.list()).filter(({ id }) => id.startsWith('claude-shop_pool-'))
}

test('a session begins in a container that waited, and is like any other', { timeout: 90_000 }, async () => {
  machine.launch = {
    argv: ['/bin/sh', '-c', 'echo "first: $GREETING"; hostname; exec sleep 1000'],
    env: { GREETING: "it's $HOME" },
  }
  await fill(1)
  const [container] = await waiting()
  const session = await machine.create({ projectId: 'shop', name: 'a', limits: { pids: 77 } })
  expect(session).toMatchObject({ state: 'running', isolation: 'full', limits: { pids: 77 } })
  expect(await machine.pidOf('shop_a')).toBe(container?.pid)
  expect(await waiting()).toEqual([])
  const log = join(machine.dir, 'projects/shop/.bundles/shop_a/terminal.log')
  await vi.waitFor(() => expect(readFileSync(log, 'utf8')).toBe("first: it's $HOME\r\na\r\n"), eventually)
  const inside = await machine.inside(
    'shop_a',
    'pwd; hostname; cat a.txt; git status --short --branch; touch ~/x new; ls /project; id -u',
  )
  expect(inside).toEqual({ exitCode: 0, out: '/project/shop_a\na\none\n## feature/a\nshop_a\n1000' })
  expect((await machine.sessions.pause('shop_a')).state).toBe('paused')
  expect((await machine.sessions.resume('shop_a')).state).toBe('running')
  await machine.reopen()
  expect(machine.sessions.require('shop_a').state).toBe('running')
  expect(await machine.pidOf('shop_a')).toBe(container?.pid)
  expect((await machine.sessions.restart('shop_a', {}, steps())).state).toBe('running')
  expect(await machine.inside('shop_a', 'ls new ~/x; hostname')).toEqual({ exitCode: 0, out: '/home/agent/x\nnew\na' })
  await expect(machine.terminate('shop_a')).rejects.toMatchObject({ code: 'WORK_AT_RISK' })
  expect((await machine.terminate('shop_a', true)).archive).toBeDefined()
  expect(await machine.leftovers('shop_a')).toEqual([])
})

test('what fits no more is replaced, what ends is discarded, and nothing is left', { timeout: 90_000 }, async () => {
  await fill(2)
  const before = await waiting()
  expect(before).toHaveLength(2)
  expect(machine.sessions.list()).toEqual([])
  await machine.projects.update({ projectId: 'shop', env: { COLOR: 'red' } }, steps())
  // Made the normal way, since none of them has this variable.
  await machine.create({ projectId: 'shop', name: 'a' })
  expect(await machine.inside('shop_a', 'echo $COLOR; hostname')).toEqual({ exitCode: 0, out: 'red\na' })
  await machine.sessions.warm('shop')
  const after = await waiting()
  expect(after).toHaveLength(2)
  expect(after.filter(({ pid }) => before.some((one) => one.pid === pid))).toEqual([])
  for (const { pid } of after) process.kill(pid, 'SIGKILL')
  await vi.waitFor(async () => expect((await waiting()).filter(({ pid }) => pid > 0)).toEqual([]), eventually)
  expect((await machine.create({ projectId: 'shop', name: 'b' })).state).toBe('running')
  await fill(0)
  expect(await waiting()).toEqual([])
  const names = await readdir(machine.projects.paths('shop').bundles)
  expect(names.toSorted()).toEqual(['shop_a', 'shop_b'])
  expect((await machine.tmux.list()).map(({ name }) => name).toSorted()).toEqual(['claude-shop_a', 'claude-shop_b'])
})

test('secrets reach a session from the pool, and no container that waits', { timeout: 90_000 }, async () => {
  await machine.projects.secrets('shop', { type: 'set', name: 'TOKEN', value: "se'cret\n" })
  machine.launch = { argv: ['/bin/sh', '-c', 'printf %s "$TOKEN" > got; exec sleep 1000'], env: {} }
  await fill(1)
  const [container] = await waiting()
  const { file, args } = {
    file: 'runc',
    args: machine.runc.execArgv(container?.id ?? '', ['ls', '/project/.secrets'], '/'),
  }
  expect((await run(file, args.slice(1))).stdout).toBe('')
  await machine.create({ projectId: 'shop', name: 'a' })
  expect(await machine.pidOf('shop_a')).toBe(container?.pid)
  await vi.waitFor(
    async () =>
      expect((await machine.inside('shop_a', 'cat got; echo .; echo "$TOKEN"')).out).toBe("se'cret\n.\nse'cret"),
    eventually,
  )
})

test('a program that ends at once has failed, with its exit code', { timeout: 90_000 }, async () => {
  machine.launch = { argv: ['/bin/sh', '-c', 'echo bye; exit 3'], env: {} }
  await fill(1)
  await machine.create({ projectId: 'shop', name: 'a' })
  await vi.waitFor(
    () =>
      expect(machine.sessions.require('shop_a')).toMatchObject({
        state: 'failed',
        exit: { reason: 'exited', code: 3, lastLines: ['bye'] },
      }),
    eventually,
  )
})
