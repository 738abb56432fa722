import dynamic from 'next/dynamic'
import { Kbd } from '../ui/kbd.tsx'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { useInbox } from './inbox-items.ts'

const InboxList = dynamic(() => import('./inbox-list.tsx').then((m) => m.InboxList), {
  ssr: false,
})

/** What needs a person, above everything else; one quiet line when nothing does. */
export function Inbox() {
  const items = useInbox()
  if (items === undefined) return null
  return (
    <section aria-label="Needs you" className="flex max-h-[62dvh] flex-none flex-col max-md:max-h-none">
      <div className="flex h-[38px] flex-none items-center gap-2 px-5 max-md:h-11 max-md:px-4">
        <h2 className="font-semibold max-md:text-15">Needs you</h2>
        {items.length > 0 && <span className="text-ink-3">{items.length}</span>}
        {items.length === 0 && (
          <p className="flex min-w-0 items-center gap-2 text-12 text-ink-3">
            <StateGlyph state="done" className="!size-3.5" />
            <span className="truncate">
              Nothing now. Approvals, questions and failures of your sessions appear here.
            </span>
          </p>
        )}
        <span className="flex-1" />
        {items.length > 0 && (
          <span className="flex items-center gap-[5px] text-11 text-ink-3 max-md:hidden">
            <Kbd>J</Kbd>
            <Kbd>K</Kbd>
            move
            <span className="ml-2.5">
              <Kbd>↵</Kbd>
            </span>
            open
          </span>
        )}
      </div>
      <div className="min-h-0 overflow-y-auto empty:hidden">
        <InboxList items={items} />
      </div>
    </section>
  )
}
