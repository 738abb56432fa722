import { writeSync } from 'node:fs'
import { ENTER_SCREEN, LEAVE_SCREEN } from './screen-filter.ts'

/**
 * Takes the person's terminal: raw keys, the alternate screen. Disposing gives it back as it was, and so does any end
 * of the process that lets it run code at all.
 */
export function takeTerminal(): Disposable {
  let isTaken = true
  const giveBack = () => {
    if (!isTaken) return
    isTaken = false
    process.off('exit', giveBack)
    try {
      process.stdin.setRawMode(false)
    } finally {
      // Synchronous, because at `exit` nothing else is written any more.
      writeSync(process.stdout.fd, LEAVE_SCREEN)
    }
  }
  process.on('exit', giveBack)
  process.stdin.setRawMode(true)
  process.stdout.write(ENTER_SCREEN)
  return { [Symbol.dispose]: giveBack }
}
