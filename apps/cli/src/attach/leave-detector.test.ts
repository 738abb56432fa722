import { describe, expect, test } from 'vitest'
import { LeaveDetector } from './leave-detector.ts'

function typed(...pieces: string[]) {
  const detector = new LeaveDetector()
  let forward = ''
  for (const piece of pieces) {
    const keys = detector.take(piece)
    forward += keys.forward
    if (keys.isLeaving) return { forward, isLeaving: true }
  }
  return { forward, isLeaving: false }
}

describe('the ways out of attach', () => {
  test.each([
    [['\u001d'], '', true],
    [['ls\u001dx'], 'ls', true],
    [['~.'], '', true],
    [['ls\r', '~', '.'], 'ls\r', true],
    [['a~.'], 'a~.', false],
    [['\r~~.'], '\r~.', false],
    [['\r~x~.'], '\r~x~.', false],
    [['\u001b[3~.'], '\u001b[3~.', false],
    [['\u001b[200~\n~.\u001d\u001b[201~'], '\u001b[200~\n~.\u001d\u001b[201~', false],
    [['\u001b[200~x\u001b[201~\u001d'], '\u001b[200~x\u001b[201~', true],
    [['héllo 👋\r'], 'héllo 👋\r', false],
  ])('%j', (pieces, forward, isLeaving) => {
    expect(typed(...pieces)).toEqual({ forward, isLeaving })
  })
})
