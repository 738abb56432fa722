import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What a process has used so far. */
export interface Usage {
  /** CPU time of all its threads, in microseconds. */
  cpuUs: number
  rssBytes: number
  /** JavaScript heap in use and memory bound to it, in bytes. */
  heapBytes: number
}

/** A server under test, as a process of its own. */
export interface ServerProcess extends AsyncDisposable {
  url: string
  /** What it has used; `settled` collects garbage first, so that memory is what is really held. */
  usage(settled?: 'settled'): Promise<Usage>
}

/** Starts a server that prints its address, or a JSON line with `url`, as its first line. */
export async function startServer(
  file: string,
  options: { args?: string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<ServerProcess> {
  const probe = join(import.meta.dirname, 'probe.ts')
  const child = spawn(process.execPath, ['--expose-gc', '--import', probe, file, ...(options.args ?? [])], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  if (child.stdout === null) throw new Error('the server has no stdout')
  const [line]: string[] = await once(createInterface({ input: child.stdout }), 'line')
  return {
    url: addressIn(line ?? ''),
    usage: async (settled) => {
      child.send(settled ?? 'now')
      const [usage]: Usage[] = await once(child, 'message')
      if (usage === undefined) throw new Error('the probe did not answer')
      return usage
    },
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, 'close')
      child.kill('SIGTERM')
      await ended
    },
  }
}

function addressIn(line: string): string {
  if (!line.startsWith('{')) return line
  const { url }: { url: string } = JSON.parse(line)
  return `${url.replace(/^http/, 'ws')}/ws`
}
