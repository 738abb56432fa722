import { useMemo, useState } from 'react'
import { CopyButton } from '../ui/copy-line.tsx'
import { cx } from '../ui/cx.ts'
import { Scroller } from '../ui/scroller.tsx'
import { inertText } from './inert-text.ts'
import { useHighlighter } from './lazy-module.ts'
import { plainLines, Tokens } from './tokens.tsx'

/** Lines, and characters, that are shown before a person asks for the rest. */
const LINES_SHOWN = 400
const CHARS_SHOWN = 20_000

/** Code or a program's output: coloured where the language is known, inert, and cut where it is long. */
export function CodeBlock({
  code,
  language,
  className,
  canCopy = false,
}: {
  code: string
  language?: string | undefined
  className?: string
  canCopy?: boolean
}) {
  const [isWhole, setWhole] = useState(false)
  const highlighter = useHighlighter()
  const text = useMemo(() => inertText(code).replace(/\n+$/, ''), [code])
  const shown = isWhole ? text : beginningOf(text)
  const lines = useMemo(
    () => highlighter?.highlight(shown, language) ?? plainLines(shown),
    [highlighter, shown, language],
  )
  return (
    <div className={cx('group/code relative min-w-0', className)}>
      <Scroller as="pre" className="max-h-[420px] overflow-auto px-2.5 py-2 font-mono text-code">
        <code className="font-mono">
          {lines.map((tokens, index) => (
            <span key={index}>
              <Tokens tokens={tokens} />
              {'\n'}
            </span>
          ))}
        </code>
      </Scroller>
      {shown.length < text.length && (
        <button
          type="button"
          onClick={() => setWhole(true)}
          className="block w-full border-t border-line-1 px-2.5 py-1.5 text-left text-12 text-accent max-md:py-3"
        >
          Show the rest, {sizeOf(text.length - shown.length)}
        </button>
      )}
      {canCopy && (
        <span className="absolute top-1 right-1 rounded-2 bg-well opacity-0 group-focus-within/code:opacity-100 group-hover/code:opacity-100 max-md:hidden">
          <CopyButton text={text} />
        </span>
      )}
    </div>
  )
}

/** A number of characters in words, such as `480 characters` or `180 kB`. */
export function sizeOf(chars: number): string {
  return chars < 1_000 ? `${chars} characters` : `${Math.round(chars / 1_000)} kB`
}

function beginningOf(text: string): string {
  if (text.length <= CHARS_SHOWN && text.split('\n', LINES_SHOWN + 1).length <= LINES_SHOWN) return text
  return text.slice(0, CHARS_SHOWN).split('\n', LINES_SHOWN).join('\n')
}
