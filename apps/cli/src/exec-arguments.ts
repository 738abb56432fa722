const VALUE_OPTIONS: readonly string[] = ['--relay', '--token', '--orchestrator', '--timeout', '--cwd']

/**
 * Puts `--` before the program of `sessions exec <session> CMD…` when the person left it out, so that the program's
 * own options stay the program's.
 */
export function separateExecArguments(argv: string[]): string[] {
  const words = positions(argv, 0)
  const [first, second, , program] = words
  if (first === undefined || second === undefined || program === undefined) return argv
  if (argv[first] !== 'sessions' || argv[second] !== 'exec') return argv
  return [...argv.slice(0, program), '--', ...argv.slice(program)]
}

/** Where the words that are neither options nor their values stand, up to the first `--`. */
function positions(argv: string[], from: number): number[] {
  const found: number[] = []
  for (let at = from; at < argv.length; at += 1) {
    const word = argv[at]
    if (word === undefined || word === '--') break
    if (VALUE_OPTIONS.includes(word)) at += 1
    else if (!word.startsWith('-')) found.push(at)
  }
  return found
}
