import { parentPort, workerData } from 'node:worker_threads'
import { AioError } from '@ai-orchestration/protocol'
import { Reserve } from '../disk/reserve.ts'
import { isFull, JournalDatabase } from './journal-database.ts'
import type { JournalAnswer, JournalBatch } from './journal-format.ts'

// The journal's own thread: it waits for the disk, so that the orchestrator does not.
const answer = (message: JournalAnswer) => parentPort?.postMessage(message)
try {
  const path = String(workerData)
  const database = JournalDatabase.open(path, Date.now())
  const reserve = new Reserve(`${path}.reserve`)
  reserve.make()
  answer({ type: 'open', content: database.content })
  parentPort?.on('message', (batch: JournalBatch | 'close') => {
    if (batch === 'close') {
      database.close()
      parentPort?.close()
      return
    }
    try {
      const results = database.apply(batch.ops)
      answer({ type: 'done', results, hasReserve: reserve.make() })
    } catch (error) {
      if (isFull(error)) reserve.free() // for the next attempt, without what is new
      answer({ type: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  })
} catch (error) {
  const code = error instanceof AioError && error.code === 'UPGRADE_REQUIRED' ? error.code : 'INTERNAL'
  answer({ type: 'refused', code, message: error instanceof Error ? error.message : String(error) })
  parentPort?.close()
}
