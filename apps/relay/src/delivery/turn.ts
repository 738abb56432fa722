let callbacks: (() => void)[] = []

/**
 * Runs a callback once everything that this turn of the event loop has brought is handled. Callbacks that are added by
 * others at that time still run in the same pass, so that what one of them delivers is written without another turn.
 */
export function atEndOfTurn(callback: () => void): void {
  if (callbacks.length === 0) setImmediate(run)
  callbacks.push(callback)
}

function run(): void {
  try {
    for (let i = 0; i < callbacks.length; i += 1) callbacks[i]?.() // it grows meanwhile
  } finally {
    callbacks = []
  }
}
