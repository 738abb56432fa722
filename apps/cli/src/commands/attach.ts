import { once } from 'node:events'
import { StringDecoder } from 'node:string_decoder'
import { setTimeout } from 'node:timers/promises'
import { AioError, type ErrorCode, type SessionExit, type TerminalSize } from '@ai-orchestration/protocol'
import type { Client, Terminal } from '@ai-orchestration/sdk'
import { LeaveDetector } from '../attach/leave-detector.ts'
import { takeTerminal } from '../attach/raw-terminal.ts'
import { ScreenFilter } from '../attach/screen-filter.ts'
import type { Cli } from '../cli.ts'
import { findSessionId } from '../session-id.ts'

/** How long an interruption may last before attach gives up, and the pause between attempts, in milliseconds. */
const RETURN_MS = 120_000
const RETRY_MS = 500

/** Errors that pass when relay and orchestrator are back. */
const PASSING: readonly ErrorCode[] = [
  'UNAVAILABLE',
  'ORCHESTRATOR_OFFLINE',
  'ORCHESTRATOR_NOT_FOUND',
  'NOT_FOUND',
  'SLOW_CONSUMER',
]

/** How an attach ended. */
type Ending = { how: 'left' } | { how: 'ended'; exit: SessionExit | undefined } | { how: 'signal'; signal: string }

/** `aio sessions attach <session>`: the person's terminal becomes the session's, until `Ctrl-]` or `~.`. */
export async function attach(cli: Cli, session: string): Promise<void> {
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true)
    throw new AioError(
      'INVALID_INPUT',
      'attach needs a terminal for input and output. To see the screen use: aio sessions logs; to run a program: aio sessions exec',
    )
  await using aio = await cli.connect()
  const sessionId = await cli.within(findSessionId(aio, session))
  const terminal = await cli.within(open(cli, aio, sessionId))
  const ending = await drive(aio, sessionId, terminal)
  cli.out.note(endingText(sessionId, ending))
}

async function open(cli: Cli, aio: Client, sessionId: string): Promise<Terminal> {
  try {
    return await aio.terminal(sessionId, { size: sizeNow() })
  } catch (thrown) {
    if (!(thrown instanceof AioError) || thrown.code !== 'FORBIDDEN') throw thrown
    cli.out.note('This token may only watch; what you type is not sent.')
    return await aio.terminal(sessionId)
  }
}

async function drive(aio: Client, sessionId: string, first: Terminal): Promise<Ending> {
  const leaving = Promise.withResolvers<Ending>()
  let terminal = first
  const notice = (text: string) =>
    process.stdout.write(`\u001b7\u001b[1;1H\u001b[0;7m ${text} \u001b[0m\u001b[K\u001b8`)
  using _screen = takeTerminal()
  using _keys = readKeys({
    keys: (text) => {
      // A key that could not be sent shows as no echo, and why the line is down is in the notice.
      terminal.write(text).catch((thrown) => notice(thrown instanceof Error ? thrown.message : String(thrown)))
    },
    leave: () => leaving.resolve({ how: 'left' }),
    resized: (size) => void terminal.resize(size.cols, size.rows).catch(() => undefined),
    signal: (signal) => leaving.resolve({ how: 'signal', signal }),
  })
  let wasLost = false
  let isRepainting = false
  const stopWatching = aio.onStatus((status) => {
    if (status.state === 'connecting' && !wasLost) notice('connection lost, trying again …  Ctrl-] leaves')
    if (status.state === 'connected' && wasLost) {
      // Ends the present picture; the loop below opens a fresh one, without our notice on it.
      isRepainting = true
      void terminal.close()
    }
    wasLost = status.state === 'connecting'
    if (status.state === 'unauthorized') leaving.reject(new AioError('UNAUTHORIZED', status.message))
  })
  const show = async (): Promise<Ending> => {
    for (;;) {
      const shown = await showUntilRepaint(terminal)
      if (shown !== 'repaint' && !(shown.how === 'left' && isRepainting)) return shown
      isRepainting = false
      await terminal.close()
      terminal = await reopen(aio, sessionId)
    }
  }
  try {
    return await Promise.race([leaving.promise, show()])
  } finally {
    stopWatching()
    await terminal.close()
  }
}

/** Opens the terminal again after an interruption; a relay that was restarted may not know the session for a moment. */
async function reopen(aio: Client, sessionId: string): Promise<Terminal> {
  const until = performance.now() + RETURN_MS
  for (;;) {
    try {
      return await aio.terminal(sessionId, { size: sizeNow() })
    } catch (thrown) {
      const isPassing = thrown instanceof AioError && PASSING.includes(thrown.code)
      if (!isPassing || performance.now() > until) throw thrown
      await setTimeout(RETRY_MS)
    }
  }
}

async function showUntilRepaint(terminal: Terminal): Promise<Ending | 'repaint'> {
  const filter = new ScreenFilter()
  while (true) {
    const { done, value: item } = await terminal.next()
    if (done === true) return { how: 'left' }
    switch (item.type) {
      case 'replay':
        await print(filter.replay(item.data))
        break
      case 'data': {
        const { text, hasLeftAlternate } = filter.take(item.data)
        await print(text)
        if (hasLeftAlternate) return 'repaint'
        break
      }
      case 'exit':
        return { how: 'ended', exit: item.exit }
      case 'truncated':
      case 'resized':
        break
      default:
        item satisfies never
    }
  }
}

async function print(text: string): Promise<void> {
  if (text !== '' && !process.stdout.write(text)) await once(process.stdout, 'drain')
}

interface KeyHandlers {
  keys: (text: string) => void
  leave: () => void
  resized: (size: TerminalSize) => void
  signal: (signal: string) => void
}

function readKeys(on: KeyHandlers): Disposable {
  const detector = new LeaveDetector()
  const decoder = new StringDecoder('utf8')
  const data = (bytes: Buffer) => {
    const { forward, isLeaving } = detector.take(decoder.write(bytes))
    if (forward !== '') on.keys(forward)
    if (isLeaving) on.leave()
  }
  const resize = () => on.resized(sizeNow())
  const end = () => on.leave()
  const signals = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const
  const onSignal = (signal: string) => on.signal(signal)
  process.stdin.on('data', data).on('end', end).resume()
  process.stdout.on('resize', resize)
  for (const signal of signals) process.on(signal, onSignal)
  return {
    [Symbol.dispose]() {
      process.stdin.off('data', data).off('end', end).pause()
      process.stdout.off('resize', resize)
      for (const signal of signals) process.off(signal, onSignal)
    },
  }
}

function sizeNow(): TerminalSize {
  const { columns, rows } = process.stdout
  // A terminal that does not know its size says 0.
  return { cols: Math.min(Math.max(columns || 80, 2), 500), rows: Math.min(Math.max(rows || 24, 2), 300) }
}

function endingText(sessionId: string, ending: Ending): string {
  switch (ending.how) {
    case 'left':
      return `Left ${sessionId}; the session goes on.`
    case 'signal':
      return `Left ${sessionId} because of ${ending.signal}; the session goes on.`
    case 'ended': {
      const { exit } = ending
      if (exit === undefined) return `Session ${sessionId} has ended.`
      return exit.code === undefined
        ? `Session ${sessionId} has ended (${exit.reason}).`
        : `Session ${sessionId} has ended with status ${exit.code}.`
    }
    default:
      return ending satisfies never
  }
}
