import { ArrowDown, ArrowLeft, ArrowRight, ArrowUp, Keyboard } from 'lucide-react'
import type { ReactNode } from 'react'
import { cx } from '../ui/cx.ts'

/** Ctrl on the key row: off, for the next key only, or until it is pressed again. */
export type Latch = 'off' | 'once' | 'locked'

/** Keys that a phone's keyboard lacks, above it; Ctrl latches for one key, twice locks it. */
export function KeyRow(props: {
  latch: Latch
  onLatch: (latch: Latch) => void
  onKey: (sequence: string, arrow?: string) => void
  onKeyboard: () => void
}) {
  const { latch, onKey } = props
  return (
    <div
      role="toolbar"
      aria-label="Terminal keys"
      className="grid flex-none grid-cols-[repeat(8,minmax(44px,1fr))] gap-1 overflow-x-auto border-t border-line-2 bg-surface-2 px-1 py-[5px] md:hidden"
    >
      <Key label="Esc" onPress={() => onKey('\u001b')}>
        Esc
      </Key>
      <Key label="Tab" onPress={() => onKey('\t')}>
        Tab
      </Key>
      <Key
        label={latch === 'locked' ? 'Ctrl, locked' : 'Ctrl'}
        isOn={latch !== 'off'}
        onPress={() => props.onLatch(latch === 'off' ? 'once' : latch === 'once' ? 'locked' : 'off')}
      >
        <span className={cx(latch === 'locked' && 'underline underline-offset-4')}>Ctrl</span>
      </Key>
      <Key label="Left" onPress={() => onKey('\u001b[D', 'D')}>
        <ArrowLeft />
      </Key>
      <Key label="Down" onPress={() => onKey('\u001b[B', 'B')}>
        <ArrowDown />
      </Key>
      <Key label="Up" onPress={() => onKey('\u001b[A', 'A')}>
        <ArrowUp />
      </Key>
      <Key label="Right" onPress={() => onKey('\u001b[C', 'C')}>
        <ArrowRight />
      </Key>
      <Key label="Keyboard" onPress={props.onKeyboard}>
        <Keyboard className="icon-20" />
      </Key>
    </div>
  )
}

function Key({
  label,
  isOn,
  onPress,
  children,
}: {
  label: string
  isOn?: boolean
  onPress: () => void
  children: ReactNode
}) {
  return (
    <button
      type="button"
      aria-label={label}
      aria-pressed={isOn}
      // The focus stays in the terminal, or the phone's keyboard would close.
      onPointerDown={(event) => event.preventDefault()}
      onClick={onPress}
      className={cx(
        'grid h-11 place-items-center rounded-3 font-medium',
        isOn === true ? 'bg-accent-solid text-accent-on' : 'bg-surface-4',
      )}
    >
      {children}
    </button>
  )
}
