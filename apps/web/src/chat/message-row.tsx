import dynamic from 'next/dynamic'
import { memo, useState } from 'react'
import type { EntryOf } from './rows.ts'
import { MESSAGE_SHOWN, ShowRest } from './show-rest.tsx'

const Markdown = dynamic(() => import('./markdown.tsx').then((m) => m.Markdown), { ssr: false })

/** What the agent says. */
export const MessageRow = memo(function MessageRow({
  entry,
  isGrowing,
}: {
  entry: EntryOf<'message'>
  isGrowing: boolean
}) {
  const [isWhole, setWhole] = useState(false)
  const shown = isWhole ? entry.text : beginningOf(entry.text)
  return (
    <div className="max-w-[66ch] text-15 [overflow-wrap:anywhere] max-md:text-16">
      <Markdown text={shown} isGrowing={isGrowing} />
      {shown.length < entry.text.length && (
        <ShowRest chars={entry.text.length - shown.length} onShow={() => setWhole(true)} />
      )}
      {entry.omittedChars !== undefined && (
        <p className="text-12 text-ink-3">{entry.omittedChars.toLocaleString()} more characters were not kept.</p>
      )}
    </div>
  )
})

function beginningOf(text: string): string {
  if (text.length <= MESSAGE_SHOWN) return text
  const end = text.lastIndexOf('\n\n', MESSAGE_SHOWN)
  return text.slice(0, end > MESSAGE_SHOWN / 2 ? end : MESSAGE_SHOWN)
}
