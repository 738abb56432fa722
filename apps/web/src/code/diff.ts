import { diffWordsWithSpace, structuredPatch } from 'diff'

/** One line of a diff with its numbers before and after. */
export interface DiffLine {
  kind: 'context' | 'add' | 'delete'
  text: string
  before: number | undefined
  after: number | undefined
  /** Where the changed words are, as [start, end) in characters; absent when the whole line is new or gone. */
  changed?: readonly (readonly [number, number])[]
}

/** Lines that belong together, with the header that says where they are. */
export interface Hunk {
  header: string
  lines: DiffLine[]
}

/** A diff of two texts. */
export interface TextDiff {
  hunks: Hunk[]
  added: number
  removed: number
}

/** Lines that differ, and milliseconds of comparing, after which two texts count as different throughout. */
const EDITS_MAX = 1_000
const COMPARE_MAX_MS = 150
/** Lines longer than this are not compared word by word. */
const WORDS_MAX_CHARS = 400

/** Compares two texts line by line, and changed lines word by word; `undefined` when they have too little in common. */
export function diffOf(before: string, after: string): TextDiff | undefined {
  if (before === '') return allNew(after)
  const patch = structuredPatch('', '', before, after, undefined, undefined, {
    ...{ context: 3, maxEditLength: EDITS_MAX, timeout: COMPARE_MAX_MS },
  })
  if (patch === undefined) return undefined
  const hunks = patch.hunks.map((hunk): Hunk => {
    let [old, now] = [hunk.oldStart, hunk.newStart]
    const lines: DiffLine[] = []
    for (const line of hunk.lines) {
      const text = line.slice(1)
      if (line.startsWith('+')) lines.push({ kind: 'add', text, before: undefined, after: now++ })
      else if (line.startsWith('-')) lines.push({ kind: 'delete', text, before: old++, after: undefined })
      else if (line.startsWith(' ')) lines.push({ kind: 'context', text, before: old++, after: now++ })
    }
    markWords(lines)
    return {
      header: `@@ −${hunk.oldStart},${hunk.oldLines} +${hunk.newStart},${hunk.newLines} @@`,
      lines,
    }
  })
  const count = (kind: DiffLine['kind']) =>
    hunks.reduce((sum, hunk) => sum + hunk.lines.filter((line) => line.kind === kind).length, 0)
  return { hunks, added: count('add'), removed: count('delete') }
}

function allNew(after: string): TextDiff {
  const texts = after === '' ? [] : after.replace(/\n$/, '').split('\n')
  const lines = texts.map((text, index): DiffLine => ({ kind: 'add', text, before: undefined, after: index + 1 }))
  return { hunks: lines.length === 0 ? [] : [{ header: '', lines }], added: lines.length, removed: 0 }
}

/** Pairs runs of deleted lines with the added ones behind them where there are as many, and marks the words that differ. */
function markWords(lines: DiffLine[]): void {
  for (let start = 0; start < lines.length; start += 1) {
    if (lines[start]?.kind !== 'delete') continue
    let middle = start
    while (lines[middle]?.kind === 'delete') middle += 1
    let end = middle
    while (lines[end]?.kind === 'add') end += 1
    if (middle - start === end - middle)
      for (let index = start; index < middle; index += 1) markPair(lines[index], lines[index - start + middle])
    start = end - 1
  }
}

function markPair(gone: DiffLine | undefined, made: DiffLine | undefined): void {
  if (gone === undefined || made === undefined) return
  if (gone.text.length > WORDS_MAX_CHARS || made.text.length > WORDS_MAX_CHARS) return
  const [before, after]: [[number, number][], [number, number][]] = [[], []]
  let [old, now, same] = [0, 0, 0]
  for (const { value, added, removed } of diffWordsWithSpace(gone.text, made.text)) {
    if (added) after.push([now, now + value.length])
    if (removed) before.push([old, old + value.length])
    if (!added && !removed) same += value.trim().length
    if (!added) old += value.length
    if (!removed) now += value.length
  }
  // Two lines that share nothing are two lines, not one that was changed.
  if (same * 4 < Math.max(gone.text.trim().length, made.text.trim().length)) return
  gone.changed = before
  made.changed = after
}
