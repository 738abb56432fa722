import { ChevronDown, ChevronRight, Lightbulb } from 'lucide-react'
import { inertText } from '../code/inert-text.ts'
import { useOpenRow } from './open-rows.tsx'
import type { EntryOf } from './rows.ts'
import { MESSAGE_SHOWN } from './show-rest.tsx'

/** What the agent thinks for itself: one line, and all of it behind that. */
export function ThoughtRow({ entry, isGrowing }: { entry: EntryOf<'message'>; isGrowing: boolean }) {
  const [isOpen, toggle] = useOpenRow(entry.id, false)
  const text = inertText(entry.text).trim()
  const line = text.replaceAll(/[*#`_]/g, '').split('\n', 1)[0] ?? ''
  return (
    <div>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={toggle}
        className="flex h-6 w-full cursor-default items-center gap-2 rounded-2 px-0.5 text-left text-12 text-ink-3 hover:text-ink-1 max-md:h-11 max-md:text-13"
      >
        <Lightbulb className="icon-14" />
        <span className="flex-none font-medium text-ink-2">{isGrowing ? 'Thinking' : 'Thought'}</span>
        <span className="min-w-0 flex-1 truncate">{isOpen ? '' : line.slice(0, 200)}</span>
        {isOpen ? <ChevronDown className="icon-14" /> : <ChevronRight className="icon-14" />}
      </button>
      {isOpen && (
        <p className="mt-1 max-h-96 max-w-[66ch] overflow-y-auto border-l-2 border-line-2 pl-3 text-ink-2 [overflow-wrap:anywhere] whitespace-pre-wrap">
          {text.slice(0, MESSAGE_SHOWN)}
        </p>
      )}
    </div>
  )
}
