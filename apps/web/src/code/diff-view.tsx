import { useMemo, useState } from 'react'
import { cx } from '../ui/cx.ts'
import { Scroller } from '../ui/scroller.tsx'
import { CodeBlock } from './code-block.tsx'
import type { DiffLine, TextDiff } from './diff.ts'
import type { Token } from './highlight.ts'
import { inertText } from './inert-text.ts'
import { useDiffer, useHighlighter } from './lazy-module.ts'
import { Tokens } from './tokens.tsx'

/** Lines that are shown before a person asks for the rest. */
const LINES_SHOWN = 200

/** A file's text before and after, as agents tell it. */
export interface Texts {
  path: string
  oldText?: string | undefined
  newText: string
}

/** Compares the two texts; `undefined` until that can be done, `'too-different'` when it is not worth it. */
export function useTextDiff({ oldText = '', newText }: Texts): TextDiff | 'too-different' | undefined {
  const differ = useDiffer()
  return useMemo(
    () =>
      differ === undefined ? undefined : (differ.diffOf(inertText(oldText), inertText(newText)) ?? 'too-different'),
    [differ, oldText, newText],
  )
}

/** What was changed in a file, unified, with the numbers of its lines. */
export function DiffView(texts: Texts) {
  const diff = useTextDiff(texts)
  const highlighter = useHighlighter()
  const language = highlighter?.languageOf(texts.path)
  const [isWhole, setWhole] = useState(false)
  if (diff === undefined) return <p className="px-2.5 py-2 text-12 text-ink-3">Comparing</p>
  if (diff === 'too-different')
    return (
      <>
        <p className="border-b border-line-1 px-2.5 py-1.5 text-12 text-ink-3">
          Rewritten throughout, so only the new text is shown.
        </p>
        <CodeBlock code={texts.newText} language={language} />
      </>
    )
  // Before the first hunk the numbers tell where it is; between two of them something is left out.
  const rows = diff.hunks.flatMap((hunk, index) => (index === 0 ? hunk.lines : [hunk.header, ...hunk.lines]))
  const shown = isWhole ? rows : rows.slice(0, LINES_SHOWN)
  return (
    <>
      <Scroller className="max-h-[420px] overflow-auto font-mono text-code">
        <div className="w-fit min-w-full py-1">
          {shown.map((row, index) =>
            typeof row === 'string' ? (
              <div key={index} className="bg-hunk py-1 pl-[52px] text-ink-3">
                {row}
              </div>
            ) : (
              <Line
                key={index}
                line={row}
                tokens={highlighter?.highlight(row.text, language)[0] ?? [{ text: row.text, className: undefined }]}
              />
            ),
          )}
          {rows.length === 0 && <p className="px-2.5 py-1 font-sans text-12 text-ink-3">Nothing is different.</p>}
        </div>
      </Scroller>
      {shown.length < rows.length && (
        <button
          type="button"
          onClick={() => setWhole(true)}
          className="block w-full border-t border-line-1 px-2.5 py-1.5 text-left text-12 text-accent max-md:py-3"
        >
          Show the rest, {rows.length - shown.length} lines
        </button>
      )}
    </>
  )
}

const SIGNS: Record<DiffLine['kind'], string> = { context: ' ', add: '+', delete: '−' }

function Line({ line, tokens }: { line: DiffLine; tokens: readonly Token[] }) {
  return (
    <div
      className={cx(
        'grid grid-cols-[34px_18px_minmax(0,1fr)] whitespace-pre',
        line.kind === 'add' && 'bg-add',
        line.kind === 'delete' && 'bg-del',
      )}
    >
      <span
        className={cx(
          'pr-2 text-right text-[11.5px] text-ink-3 select-none',
          line.kind === 'add' && 'bg-add-gutter',
          line.kind === 'delete' && 'bg-del-gutter',
        )}
      >
        {line.after ?? line.before}
      </span>
      <span
        className={cx(
          'text-center text-ink-3 select-none',
          line.kind === 'add' && 'text-add-ink',
          line.kind === 'delete' && 'text-del-ink',
        )}
      >
        {SIGNS[line.kind]}
      </span>
      <code className="pr-3 font-mono">
        <Marked line={line} tokens={tokens} />
      </code>
    </div>
  )
}

/** A line's coloured stretches, cut again where the changed words begin and end. */
function Marked({ line, tokens }: { line: DiffLine; tokens: readonly Token[] }) {
  const { changed } = line
  if (changed === undefined || changed.length === 0) return <Tokens tokens={tokens} />
  const word = line.kind === 'add' ? 'bg-add-word rounded-[2px]' : 'bg-del-word rounded-[2px]'
  let at = 0
  const pieces = tokens.flatMap(({ text, className }) => {
    const edges = [0, text.length]
    for (const [start, end] of changed) edges.push(start - at, end - at)
    const cuts = [...new Set(edges)].filter((edge) => edge >= 0 && edge <= text.length).sort((a, b) => a - b)
    const from = at
    at += text.length
    return cuts.slice(1).map((end, index): Token => {
      const start = cuts[index] ?? 0
      const isChanged = changed.some(([first, last]) => first <= from + start && from + end <= last)
      return { text: text.slice(start, end), className: isChanged ? cx(className, word) : className }
    })
  })
  return <Tokens tokens={pieces} />
}
