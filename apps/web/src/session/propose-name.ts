import { toSlug } from '@ai-orchestration/protocol'

/** Words that say nothing about the work. */
const EMPTY_WORDS = new Set(
  'a an and are at be by for from have in into is it its of on or our please so some that the their then there this to us we with you your'.split(
    ' ',
  ),
)

/** Words of a proposed name: enough to tell sessions apart, short enough for a row. */
const WORDS_MAX = 4
const WORDS_LENGTH_MAX = 28

/** A name comes from the beginning of a prompt: so many characters of it are read. */
const READ_MAX = 400

/** Longest proposed title, in characters. */
const TITLE_MAX = 72

/** Proposes a session's name from what it shall do, free among `taken`; counts up when there are no words. */
export function proposeName(prompt: string, taken: ReadonlySet<string>): string {
  const words = plainWords(prompt)
  const telling: string[] = []
  for (const word of words) {
    if (word === '' || EMPTY_WORDS.has(word)) continue
    if (telling.length >= WORDS_MAX || [...telling, word].join('-').length > WORDS_LENGTH_MAX) break
    telling.push(word)
  }
  return free(toSlug(telling.join('-')) ?? 'session', taken)
}

/** Proposes a title from the first sentence of a prompt; `undefined` when it says no more than the name. */
export function proposeTitle(prompt: string): string | undefined {
  const line = prompt.trim().split('\n', 1)[0] ?? ''
  const sentence = line.split(/(?<=[.!?])\s/, 1)[0] ?? ''
  const text = sentence
    .replaceAll(/\p{Cc}/gu, ' ')
    .replace(/[.!?]+$/, '')
    .trim()
  if (text === '') return undefined
  if (text.length <= TITLE_MAX) return text
  const cut = text.slice(0, TITLE_MAX)
  return `${cut.slice(0, Math.max(cut.lastIndexOf(' '), TITLE_MAX / 2))}…`
}

function plainWords(prompt: string): string[] {
  return prompt
    .slice(0, READ_MAX)
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replaceAll(/[\p{M}'’]/gu, '')
    .split(/[^a-z0-9]+/)
}

function free(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name
  for (let count = 2; ; count += 1) {
    const next = `${name.slice(0, 36)}-${count}`
    if (!taken.has(next)) return next
  }
}
