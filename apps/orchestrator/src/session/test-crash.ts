import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { StepList, type StepReport } from '../command/steps.ts'
import { TestMachine } from './test-machine.ts'

/**
 * Only for tests: an orchestrator that dies, as with kill -9, when a step of a command comes to a state, or `amid` it,
 * once something of an archive is written.
 * Arguments: the machine's directory, `create`, `pooled`, `terminate`, `fork`, `restore` or `clear`, the step and its state.
 */
const [dir = '', command, step, state] = process.argv.slice(2)
const machine = await TestMachine.start(dir)
await machine.sessions.adopt()
const die = () => process.kill(process.pid, 'SIGKILL')
const report = (report: StepReport) => {
  if (report.step?.name !== step) return
  if (report.step?.state === state) die()
  if (state !== 'amid' || report.step?.state !== 'running') return
  const archives = join(machine.home, 'archives')
  setInterval(() => {
    if (readdirSync(archives).some((name) => name.startsWith('.making-'))) die()
  }, 1)
}
const steps = new StepList(new AbortController().signal, report)
const { sessions } = machine
switch (command) {
  case 'create':
    await sessions.create({ projectId: 'demo', name: 'one' }, steps)
    break
  case 'pooled':
    await machine.projects.update({ projectId: 'demo', pool: 2 }, new StepList(steps.signal, () => undefined))
    await sessions.warm('demo')
    await sessions.create({ projectId: 'demo', name: 'one' }, steps)
    break
  case 'terminate':
    await sessions.terminate('demo_one', { force: true }, steps)
    break
  case 'fork':
    await sessions.fork({ sessionId: 'demo_source', name: 'one' }, steps)
    break
  case 'restore':
    await sessions.restore({ archiveId: 'demo_source', name: 'one' }, steps)
    break
  case 'clear':
    await sessions.clear('demo', { force: true }, steps, async () => undefined)
    break
  default:
    throw new Error(`There is no way to crash in ${command}.`)
}
