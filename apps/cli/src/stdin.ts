import { createInterface } from 'node:readline/promises'

/** Reads standard input to its end, as text. */
export async function readStdin(): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of process.stdin) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces).toString('utf8')
}

/**
 * Reads a secret from standard input, without the line break at its end. A person who types it is asked on stderr, and
 * it is not echoed.
 */
export async function readSecret(question: string): Promise<string> {
  if (process.stdin.isTTY !== true) return (await readStdin()).replace(/\r?\n$/, '')
  process.stderr.write(question)
  const lines = createInterface({ input: process.stdin, terminal: true, historySize: 0 })
  try {
    return await lines.question('')
  } finally {
    lines.close()
    process.stderr.write('\n')
  }
}
