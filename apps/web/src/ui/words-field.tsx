import type { KeyboardEvent } from 'react'

/** Room for a few words; Enter sends them, Shift and Enter begins a line. */
export function WordsField(props: {
  label: string
  placeholder: string
  hasFocus: boolean
  text: string
  onText: (text: string) => void
  onEnter: () => void
  onEscape?: () => void
}) {
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Escape' && props.onEscape !== undefined) {
      event.preventDefault()
      event.stopPropagation()
      props.onEscape()
    }
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    props.onEnter()
  }
  return (
    <textarea
      // biome-ignore lint/a11y/noAutofocus: only where it was asked for by the button that it replaces
      autoFocus={props.hasFocus}
      aria-label={props.label}
      placeholder={props.placeholder}
      rows={2}
      value={props.text}
      onChange={(event) => props.onText(event.target.value)}
      onKeyDown={onKey}
      className="w-full resize-none rounded-3 border border-line-3 bg-surface-1 px-2.5 py-1.5 [field-sizing:content] focus-visible:border-accent focus-visible:shadow-[0_0_0_1px_var(--accent)] max-md:text-16"
    />
  )
}
