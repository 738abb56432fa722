import { Dialog } from '../ui/dialog.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { SHORTCUTS } from './shortcuts.ts'

/** Lists every shortcut. */
export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog isOpen onClose={onClose} width="question" title="Shortcuts">
      <ul className="px-[18px] pb-4">
        {SHORTCUTS.map(({ keys, does }) => (
          <li key={does} className="flex h-8 items-center justify-between border-b border-line-1 last:border-b-0">
            <span className="text-ink-2">{does}</span>
            <span className="flex gap-0.5">
              <span className="sr-only">{keys.join(' ')}</span>
              {keys.map((key) => (
                <Kbd key={key}>{key}</Kbd>
              ))}
            </span>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
