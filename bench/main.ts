// `pnpm bench [relay|accept|sessions|chat] [--json|--markdown]`: what things cost, each beside a baseline measured in the same run.
import { benchChat } from './chat.ts'
import { benchRelay } from './relay.ts'
import { benchRelayAccept } from './relay-accept.ts'
import type { Figure } from './report.ts'
import { printFigures, printMarkdown } from './report.ts'
import { benchSessions } from './sessions.ts'

const SUITES: Record<string, () => Promise<Figure[]>> = {
  relay: benchRelay,
  accept: benchRelayAccept,
  sessions: benchSessions,
  chat: benchChat,
}

const chosen = process.argv.slice(2).filter((argument) => !argument.startsWith('-'))
const unknown = chosen.find((name) => !(name in SUITES))
if (unknown !== undefined) {
  console.error(`There is no bench ${unknown}. There are: ${Object.keys(SUITES).join(', ')}.`)
  process.exit(2)
}

const figures: Figure[] = []
for (const [name, run] of Object.entries(SUITES)) {
  if (chosen.length > 0 && !chosen.includes(name)) continue
  if (!process.argv.includes('--json')) console.error(`${name}…`)
  figures.push(...(await run()))
}
if (process.argv.includes('--markdown')) printMarkdown(figures)
else printFigures(figures, process.argv.includes('--json'))
