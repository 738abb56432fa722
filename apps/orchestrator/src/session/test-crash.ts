import { StepList, type StepReport } from '../command/steps.ts'
import { TestMachine } from './test-machine.ts'

/**
 * Only for tests: an orchestrator that dies, as with kill -9, when a step of a creation or removal comes to a state.
 * Arguments: the machine's directory, `create` or `terminate`, the step and its state.
 */
const [dir, command, step, state] = process.argv.slice(2)
const machine = await TestMachine.start(dir)
await machine.sessions.adopt()
const report = (report: StepReport) => {
  if (report.step?.name === step && report.step?.state === state) process.kill(process.pid, 'SIGKILL')
}
const steps = new StepList(new AbortController().signal, report)
if (command === 'create') await machine.sessions.create({ projectId: 'demo', name: 'one' }, steps)
else await machine.sessions.terminate('demo_one', { force: true }, steps)
