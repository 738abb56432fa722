import { execFile } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { reportCommands } from './report-commands.ts'
import { type AgentReport, Reports } from './reports.ts'

let server: Server
let port: number
let seen: AgentReport[]
let now = 0

beforeEach(async () => {
  seen = []
  now = 0
  const reports = new Reports(
    (report) => seen.push(report),
    () => now,
  )
  server = createServer((request, response) => {
    if (Reports.isOne(request)) reports.handle(request, response)
    else response.writeHead(404).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  port = typeof address === 'object' && address !== null ? address.port : 0
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

async function post(path: string, body = '', method = 'POST'): Promise<number> {
  const init = method === 'POST' ? { method, body } : { method }
  return (await fetch(`http://127.0.0.1:${port}/.aio/attention/${path}`, init)).status
}

/** The command line of a hook, at the port of this test. */
async function runHook(name: string, stdin: string): Promise<void> {
  const command = (reportCommands()[name] ?? '').replace('/3128', `/${port}`)
  const running = promisify(execFile)('sh', ['-c', command])
  running.child.stdin?.end(stdin)
  await running
}

describe('what an agent tells of itself', () => {
  it('arrives from a hook that has no curl, with the name of its conversation', async () => {
    const session_id = '0b2c8a54-1a58-4a3c-9d0e-5b8f8a1a2b3c'
    await runHook('reportWorking', JSON.stringify({ session_id, tool_input: 'ä%s "\\'.repeat(50_000) }))
    await runHook('reportStarted', JSON.stringify({ session_id }))
    await runHook('reportDone', '')
    expect(seen).toEqual([{ state: 'working', conversation: session_id }, { state: 'idle' }, { state: 'done' }])
  })

  it('keeps a hook from failing when nobody listens', async () => {
    const command = (reportCommands()['reportDone'] ?? '').replace('/3128', '/1')
    const running = promisify(execFile)('sh', ['-c', command])
    running.child.stdin?.end('{}')
    expect(await running).toEqual({ stdout: '', stderr: '' })
  })

  it('is nothing but one of the states, and no name that could be an option', async () => {
    expect(await post('rich')).toBe(404)
    expect(await post('done', '', 'GET')).toBe(404)
    expect(await post('done', '{"session_id":"--dangerous-option"}')).toBe(204)
    expect(await post('done', '{"session_id":"../../etc/passwd"}')).toBe(204)
    expect(seen).toEqual([{ state: 'done' }, { state: 'done' }])
  })

  it('is refused when it is too long or comes too often', async () => {
    await expect(post('done', 'x'.repeat(100_000))).rejects.toThrow()
    const statuses: number[] = []
    for (let count = 0; count < 40; count++) statuses.push(await post('working'))
    expect(statuses.filter((status) => status === 204)).toHaveLength(29)
    expect(statuses.at(-1)).toBe(429)
    now += 1_000
    expect(await post('working')).toBe(204)
  })

  it('may break off', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.end('POST /.aio/attention/done HTTP/1.1\r\nhost: door\r\ncontent-length: 9\r\n\r\nx')
    await new Promise((resolve) => socket.resume().on('close', resolve))
    expect(seen).toEqual([])
    expect(await post('done')).toBe(204)
  })
})
