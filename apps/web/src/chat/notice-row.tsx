import { CircleAlert, Info, TriangleAlert } from 'lucide-react'
import { inertText } from '../code/inert-text.ts'
import { cx } from '../ui/cx.ts'
import { clockTime } from '../ui/time.tsx'
import type { EntryOf } from './rows.ts'

const NOTICES = { info: Info, warning: TriangleAlert, error: CircleAlert } as const

/** Something the platform says. */
export function NoticeRow({ entry }: { entry: EntryOf<'notice'> }) {
  const Icon = NOTICES[entry.level]
  return (
    <p className="flex items-start gap-2 px-0.5 text-12 text-ink-3">
      <Icon
        className={cx(
          'icon-14 mt-px',
          entry.level === 'warning' && 'text-needs',
          entry.level === 'error' && 'text-failed',
        )}
      />
      <span className={cx('min-w-0 [overflow-wrap:anywhere]', entry.level === 'error' && 'text-failed')}>
        {inertText(entry.text)}
      </span>
      <time className="ml-auto flex-none" dateTime={entry.at}>
        {clockTime(entry.at).slice(0, 5)}
      </time>
    </p>
  )
}
