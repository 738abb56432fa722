import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { AioError, toAioError } from '@ai-orchestration/protocol'
import { createClient } from '@ai-orchestration/sdk'
import { z } from 'zod'
import type { Cli } from '../cli.ts'
import { EXIT } from '../exit-code.ts'
import { inert } from '../output/table.ts'

const checkSchema = z.object({
  name: z.string(),
  ok: z.union([z.boolean(), z.literal('warn')]),
  message: z.string(),
  fix: z.string().optional(),
})
type Check = z.infer<typeof checkSchema>

const reportSchema = z.object({ checks: z.array(checkSchema) })

/** The machine's checks may take this long, in milliseconds. */
const CHECKS_TIMEOUT_MS = 60_000

/** How long the relay may take to answer a check, in milliseconds. */
const RELAY_TIMEOUT_MS = 3_000

/**
 * `aio doctor`: what this machine needs, line by line, each with what to do.
 *
 * @returns 1 when a check failed.
 */
export async function doctor(cli: Cli): Promise<number> {
  const [machine, relay] = await Promise.all([machineChecks(), relayChecks(cli)])
  const checks = [...machine, ...relay]
  cli.out.result({ checks }, () => checks.map((check) => line(cli, check)).join('\n'))
  const failed = checks.filter((check) => check.ok === false).length
  if (failed > 0) cli.out.note(`${failed} of ${checks.length} checks failed.`)
  return failed > 0 ? EXIT.failed : EXIT.done
}

function line(cli: Cli, { name, ok, message, fix }: Check): string {
  const mark =
    ok === true
      ? cli.out.colour('green', 'ok  ')
      : ok === false
        ? cli.out.colour('red', 'fail')
        : cli.out.colour('yellow', 'warn')
  const first = `${mark}  ${name}: ${inert(message)}`
  return fix === undefined || ok === true ? first : `${first}\n      ${cli.out.colour('cyan', 'do')} ${inert(fix)}`
}

async function machineChecks(): Promise<Check[]> {
  const main = fileURLToPath(import.meta.resolve('@ai-orchestration/orchestrator/doctor'))
  const { stdout, stderr } = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
    // It ends with a status of its own when a check fails; its answer is on stdout either way.
    execFile(
      process.execPath,
      [main, '--json'],
      { timeout: CHECKS_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 },
      (_error, out, err) => resolve({ stdout: out, stderr: err }),
    )
  })
  try {
    return reportSchema.parse(JSON.parse(stdout)).checks
  } catch {
    const why = stderr.trim().split('\n').at(-1) ?? ''
    return [
      {
        name: 'machine',
        ok: false,
        message: `The checks of this machine could not run. ${why}`.trim(),
        fix: `Run it alone to see more: node ${main} --json`,
      },
    ]
  }
}

async function relayChecks(cli: Cli): Promise<Check[]> {
  const { url, token, tokenFrom } = await cli.address()
  try {
    if (token === undefined) throw new AioError('UNAUTHORIZED', `There is no token for ${url}.`)
    await using aio = createClient({ url, token, connectTimeoutMs: RELAY_TIMEOUT_MS })
    const who = await aio.auth.whoami.query()
    const online = (await aio.orchestrators.list.query()).filter((one) => one.state === 'online')
    return [
      { name: 'relay', ok: true, message: `${url} answers (version ${who.relayVersion}) to ${who.roles.join(', ')}.` },
      online.length > 0
        ? { name: 'orchestrators', ok: true, message: `${online.map((one) => one.name).join(', ')} online.` }
        : { name: 'orchestrators', ok: 'warn', message: 'None is online.', fix: 'Start one: aio orchestrator' },
    ]
  } catch (thrown) {
    const { code, message } = toAioError(thrown)
    const fix =
      code === 'UNAVAILABLE'
        ? 'Start it: npm start, or aio up'
        : code === 'UNAUTHORIZED'
          ? `Log in: aio login (the token came from ${tokenFrom})`
          : 'Look at its log.'
    return [{ name: 'relay', ok: false, message, fix }]
  }
}
