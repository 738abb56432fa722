/** Something to be done once per turn, when all that the turn brought is handled. */
export interface EndOfTurn {
  endOfTurn(): void
}

let due: EndOfTurn[] = []

/**
 * Calls back once everything that this turn of the event loop has brought is handled. Those that are added by others at that
 * time are still called in the same pass, so that what one of them delivers is written without another turn.
 */
export function atEndOfTurn(one: EndOfTurn): void {
  if (due.length === 0) setImmediate(run)
  due.push(one)
}

function run(): void {
  let done = 0
  try {
    for (; done < due.length; done += 1) due[done]?.endOfTurn() // it grows meanwhile
  } finally {
    due = due.slice(done + 1) // one that throws does not take those behind it along
    if (due.length > 0) setImmediate(run)
  }
}

/** Resolves in the next turn: what this one brings to others has left by then. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
