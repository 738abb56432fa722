import { Check, ChevronDown, ChevronRight, ListChecks } from 'lucide-react'
import { inertText } from '../code/inert-text.ts'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { useOpenRow } from './open-rows.tsx'
import type { EntryOf } from './rows.ts'

/** The agent's plan; an earlier one is folded. */
export function PlanRow({
  entry,
  isLatest,
  isRunning,
}: {
  entry: EntryOf<'plan'>
  isLatest: boolean
  /** The agent is at it now. */
  isRunning: boolean
}) {
  const [isOpen, toggle] = useOpenRow(entry.id, isLatest)
  const done = entry.items.filter(({ status }) => status === 'completed').length
  const now = entry.items.find(({ status }) => status === 'in_progress')
  const items = isOpen ? entry.items : isLatest && now !== undefined ? [now] : []
  return (
    <div className={cx('rounded-3 border border-line-2', items.length > 0 && 'pb-1.5')}>
      <button
        type="button"
        aria-expanded={isOpen}
        onClick={toggle}
        className="flex h-8 w-full cursor-default items-center gap-2 px-2.5 text-left text-12 text-ink-2 focus-visible:shadow-focus-inset max-md:h-11 max-md:text-13"
      >
        <ListChecks className="icon-14 text-ink-3" />
        <b className="font-medium text-ink-1">Plan</b>
        <span className="text-ink-3">
          {done} of {entry.items.length}
        </span>
        <span className="flex-1" />
        {isOpen ? <ChevronDown className="icon-14 text-ink-3" /> : <ChevronRight className="icon-14 text-ink-3" />}
      </button>
      <ul>
        {items.map((item, index) => (
          <li
            key={index}
            className={cx(
              'flex min-h-[25px] items-start gap-2.5 px-2.5 py-[2.5px]',
              item.status === 'completed' && 'text-ink-3',
              item.status === 'in_progress' && 'font-medium',
              item.status === 'pending' && 'text-ink-2',
            )}
          >
            <span className="grid size-4 flex-none translate-y-0.5 place-items-center">
              {item.status === 'completed' ? (
                <Check role="img" aria-label="Done" className="icon-14 text-done" />
              ) : item.status === 'in_progress' ? (
                <StateGlyph state={isRunning ? 'starting' : 'idle'} label={isRunning ? 'Now' : 'Begun'} />
              ) : (
                <span className="size-3.5 rounded-[3.5px] border-[1.5px] border-line-control" />
              )}
            </span>
            <span className="min-w-0 [overflow-wrap:anywhere]">{inertText(item.text)}</span>
          </li>
        ))}
      </ul>
    </div>
  )
}
