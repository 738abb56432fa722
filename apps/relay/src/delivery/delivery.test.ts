import type { AioEvent } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import { aProject, FakeOrchestrator } from '../test-support/fake-orchestrator.ts'
import { ROOT_TOKEN, TestRelay } from '../test-support/test-relay.ts'

interface Answer {
  id: number | string
  jsonrpc?: string
  result?: { type: string; id?: string; data?: { id: string; data: AioEvent } }
}

/** Opens a raw socket and collects what comes. */
async function open(relay: TestRelay): Promise<{ socket: WebSocket; answers: Answer[] }> {
  const socket = await relay.socket({ token: ROOT_TOKEN })
  const answers: Answer[] = []
  socket.on('message', (data) => answers.push(JSON.parse(data.toString())))
  return { socket, answers }
}

const watch = (id: number | string, more: object = {}, input: object = { types: ['project_updated'] }) =>
  JSON.stringify({ id, ...more, method: 'subscription', params: { path: 'events.watch', input } })

const projectsOf = (answers: Answer[], id: number | string) =>
  answers.flatMap((answer) => {
    const event = answer.id === id ? answer.result?.data?.data : undefined
    return event?.type === 'project_updated' ? [event.project.id] : []
  })

test('each subscription gets its frames under its own id and in its own envelope, on whatever socket', async () => {
  await using relay = await TestRelay.start()
  await using fake = await FakeOrchestrator.connect(relay)
  const one = await open(relay)
  const two = await open(relay)
  one.socket.send(`[${watch(1)},${watch('a"b', { jsonrpc: '2.0' })},${watch(3, {}, { projectId: 'q' })}]`)
  two.socket.send(watch(1))
  await expect.poll(() => [one.answers.length, two.answers.length]).toEqual([3, 1])
  const update = (name: string) => ({ type: 'project_updated' as const, project: aProject(name, fake.id) })
  await fake.publish(update('p'), update('q'))
  await expect.poll(() => [one.answers.length, two.answers.length]).toEqual([3 + 5, 1 + 2])
  expect(projectsOf(one.answers, 1)).toEqual(['p', 'q'])
  expect(projectsOf(one.answers, 'a"b')).toEqual(['p', 'q'])
  expect(projectsOf(one.answers, 3)).toEqual(['q'])
  expect(projectsOf(two.answers, 1)).toEqual(['p', 'q'])
  for (const { id, jsonrpc, result } of [...one.answers, ...two.answers]) {
    expect(jsonrpc).toBe(id === 'a"b' ? '2.0' : undefined)
    expect(['started', 'data']).toContain(result?.type)
    expect([result?.id, result?.data?.id]).toEqual([result?.data?.data.position, result?.data?.data.position])
  }
  for (const { socket } of [one, two]) socket.terminate()
})

test('nothing follows a stop, and the id can be used again', async () => {
  await using relay = await TestRelay.start()
  await using fake = await FakeOrchestrator.connect(relay)
  const { socket, answers } = await open(relay)
  const update = (name: string) => ({ type: 'project_updated' as const, project: aProject(name, fake.id) })
  socket.send(watch(1))
  await expect.poll(() => answers.map(({ result }) => result?.type)).toEqual(['started'])
  await fake.publish(update('a'))
  socket.send(JSON.stringify({ id: 1, method: 'subscription.stop' }))
  await expect.poll(() => answers.map(({ result }) => result?.type)).toEqual(['started', 'data', 'stopped'])
  await fake.publish(update('b'))
  socket.send(watch(1))
  await expect.poll(() => answers.at(-1)?.result?.type).toBe('started')
  await fake.publish(update('c'))
  await expect
    .poll(() => answers.map(({ result }) => result?.type))
    .toEqual(['started', 'data', 'stopped', 'started', 'data'])
  socket.terminate()
})

test('a reader that pauses gets all of it, in order, while it is kept; another is not held up (S-1)', async () => {
  await using relay = await TestRelay.start({ limits: { bufferSoftBytes: 64 * 1024 } })
  await using fake = await FakeOrchestrator.connect(relay)
  const slow = await open(relay)
  const quick = await open(relay)
  for (const { socket } of [slow, quick]) socket.send(watch(1))
  await expect.poll(() => [slow.answers.length, quick.answers.length]).toEqual([1, 1])
  slow.socket.pause()
  const repoUrl = `https://example.org/${'x'.repeat(20_000)}`
  for (let i = 0; i < 20; i += 1)
    await fake.publish(
      ...Array.from({ length: 40 }, (_, j) => ({
        type: 'project_updated' as const,
        project: { ...aProject('p', fake.id), defaultBranch: `b${i}-${j}`, repoUrl },
      })),
    )
  await expect.poll(() => quick.answers.length).toBe(1 + 800)
  slow.socket.resume()
  await expect.poll(() => slow.answers.length).toBe(1 + 800)
  const seqs = slow.answers.flatMap(({ result }) => result?.id?.split('.')[1] ?? [])
  expect(seqs).toEqual(Array.from({ length: 800 }, (_, n) => String(Number(seqs[0]) + n)))
  for (const { socket } of [slow, quick]) socket.terminate()
})
