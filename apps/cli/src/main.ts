import { Command, CommanderError } from 'commander'
import packageJson from '../package.json' with { type: 'json' }
import { separateExecArguments } from './exec-arguments.ts'
import { buildProgram } from './program.ts'
import type { Runner } from './runner.ts'

// Printing into a closed pipe (`aio events | head -1`) is a normal end.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

const argv = separateExecArguments(process.argv.slice(2))
const isJson = argv.slice(0, argv.includes('--') ? argv.indexOf('--') : undefined).includes('--json')

const run: Runner = async (flags, action, options) => {
  const { runAction } = await import('./run-action.ts')
  process.exitCode = await runAction(flags, action, options)
}

try {
  const program = buildProgram(new Command('aio'), packageJson.version, run)
  await program.parseAsync(argv, { from: 'user' })
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) throw thrown
  process.exitCode = thrown.exitCode === 0 ? 0 : 2
  // Help and version have been printed already.
  if (!['commander.help', 'commander.helpDisplayed', 'commander.version'].includes(thrown.code)) {
    const message = `${thrown.message.replace(/^error: /, '').trim()} See: aio --help`
    if (isJson) process.stdout.write(`${JSON.stringify({ error: { code: 'INVALID_INPUT', message } })}\n`)
    else process.stderr.write(`error ${message}\n`)
  }
}
