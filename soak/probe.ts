// Loaded into the processes of a soak with --import: at SIGUSR2 it collects garbage and writes what is still held to a file.
import { renameSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const directory = new URL(import.meta.url).searchParams.get('to') ?? ''

function write(): void {
  globalThis.gc?.()
  globalThis.gc?.() // the first pass may leave what finalizers let go
  const { rss, heapUsed, external } = process.memoryUsage()
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const path = `${directory}/${process.pid}.json`
  try {
    writeFileSync(`${path}.new`, JSON.stringify({ rssBytes: rss, heapBytes: heapUsed + external, timers }))
    renameSync(`${path}.new`, path)
  } catch {
    // A soak takes the disk away now and then, stderr's too: whoever asked finds no answer, and leaves the sample out.
  }
}

if (isMainThread) {
  process.on('SIGUSR2', write)
  writeFileSync(`${directory}/${process.pid}.ready`, '') // before that the signal would end the process
}
