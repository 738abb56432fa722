import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CLOSE_CODES } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { FakeOrchestrator } from './test-support/fake-orchestrator.ts'
import { ROOT_TOKEN, TestRelay } from './test-support/test-relay.ts'

const text = await readFile(join(import.meta.dirname, '../../../docs/protocol.md'), 'utf8')

test('the client of docs/protocol.md works as it stands there', async () => {
  const script = /```js\n([\s\S]*?)```/.exec(text)?.[1] ?? ''
  await using relay = await TestRelay.start()
  const child = spawn(process.execPath, ['--input-type=module', '-', relay.wsUrl, ROOT_TOKEN], { stdio: 'pipe' })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  child.stdin.end(script)
  await expect
    .poll(() => output, { timeout: 20_000 })
    .toMatch(/AUTH_TOKEN[\s\S]*NOT_FOUND: There is no session[\s\S]*\[\]/)
  await using _fake = await FakeOrchestrator.connect(relay)
  await expect.poll(() => output, { timeout: 20_000 }).toMatch(/[0-9A-Z]{26}\.1 orchestrator_joined/)
  const exited = once(child, 'exit')
  await relay.relay.close()
  await exited
  expect(output).toContain(`closed: ${CLOSE_CODES.restarting} UNAVAILABLE`)
})

test('every close code is described', () => {
  for (const code of Object.values(CLOSE_CODES)) expect(text).toMatch(new RegExp(`^\\| ${code} +\\|`, 'm'))
})
