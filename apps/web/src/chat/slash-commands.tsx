import type { ChatHead } from '@ai-orchestration/protocol'
import { type RefObject, useEffect, useId, useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { cx } from '../ui/cx.ts'

/** Most commands offered at once. */
const SHOWN_MAX = 8

/** Offers the agent's own commands while a prompt begins with a slash; Tab or Enter takes one. */
export function SlashCommands(props: {
  text: string
  commands: ChatHead['commands']
  field: RefObject<HTMLTextAreaElement | null>
  onChoose: (name: string) => void
}) {
  const { text, commands, field, onChoose } = props
  const id = useId()
  const [at, setAt] = useState(0)
  const [closed, setClosed] = useState('')
  const word = /^\/(\S*)$/.exec(text)?.[1]?.toLowerCase()
  const found =
    word === undefined || closed === text
      ? []
      : commands.filter(({ name }) => name.toLowerCase().includes(word)).slice(0, SHOWN_MAX)
  const current = Math.min(at, found.length - 1)
  const chosen = found[current]?.name
  const count = found.length
  useEffect(() => {
    const element = field.current
    if (element === null || count === 0 || chosen === undefined) return
    // Before the field's own keys: Enter takes the command instead of sending its beginning.
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key === 'ArrowDown') setAt((current + 1) % count)
      else if (event.key === 'ArrowUp') setAt((current + count - 1) % count)
      else if (event.key === 'Escape') setClosed(text)
      else if (event.key === 'Tab' || (event.key === 'Enter' && !event.shiftKey)) onChoose(chosen)
      else return
      event.preventDefault()
      event.stopPropagation()
    }
    element.addEventListener('keydown', onKey)
    return () => element.removeEventListener('keydown', onKey)
  }, [field, count, current, chosen, text, onChoose])
  if (count === 0) return null
  return (
    <div
      id={id}
      role="listbox"
      aria-label="Commands of the agent"
      className="absolute inset-x-0 bottom-full z-10 mb-1 rounded-4 border border-line-3 bg-overlay p-1 shadow-pop"
    >
      {found.map(({ name, description }, index) => (
        <div
          key={name}
          role="option"
          tabIndex={-1}
          aria-selected={index === current}
          onPointerMove={() => setAt(index)}
          onPointerDown={(event) => {
            event.preventDefault()
            onChoose(name)
          }}
          className={cx(
            'flex h-8 cursor-default items-center gap-2.5 rounded-2 px-2 max-md:h-11',
            index === current && 'bg-surface-4',
          )}
        >
          <span className="flex-none font-mono text-code">/{inertText(name)}</span>
          <span className="min-w-0 truncate text-12 text-ink-3">{inertText(description)}</span>
        </div>
      ))}
    </div>
  )
}
