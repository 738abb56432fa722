import type { AioEvent, Step } from '@ai-orchestration/protocol'
import type { Client } from '@ai-orchestration/sdk'
import { inert } from './output/table.ts'

/** Shows the steps of one command on stderr while it runs; returns what stops it. */
export function showProgress(aio: Client, commandId: string): AsyncDisposable {
  const stop = new AbortController()
  const events = aio.events({ types: ['command_progress'] }, { signal: stop.signal })
  const isTerminal = process.stderr.isTTY === true
  const shown = (async () => {
    for await (const event of events) {
      const line = event.type === 'command_progress' && event.commandId === commandId ? progressLine(event) : undefined
      if (line === undefined) continue
      process.stderr.write(isTerminal ? `\r\u001b[K${line}` : `${line}\n`)
    }
  })()
  return {
    async [Symbol.asyncDispose]() {
      stop.abort()
      // Progress is a courtesy: that it could not be shown is not the command's failure, which is reported by itself.
      await shown.catch(() => undefined)
      if (isTerminal) process.stderr.write('\r\u001b[K')
    },
  }
}

/** One line for one progress event, or nothing when it says nothing. */
export function progressLine(event: Extract<AioEvent, { type: 'command_progress' }>): string | undefined {
  const percent = event.progress === undefined ? '' : `${String(Math.round(event.progress)).padStart(3)}% `
  if (event.step !== undefined) return `${percent}${stepText(event.step)}`
  return event.message === undefined ? undefined : `${percent}${inert(event.message)}`
}

function stepText({ name, state, ms, detail }: Step): string {
  const time = ms === undefined ? '' : ` (${Math.round(ms)} ms)`
  const more = detail === undefined ? '' : `: ${inert(detail)}`
  switch (state) {
    case 'running':
      return `${inert(name)} …${more}`
    case 'done':
      return `${inert(name)} done${time}${more}`
    case 'failed':
      return `${inert(name)} failed${time}${more}`
    case 'undone':
      return `${inert(name)} undone${time}${more}`
    default:
      return state satisfies never
  }
}
