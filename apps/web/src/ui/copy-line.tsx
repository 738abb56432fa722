import { Check, Copy } from 'lucide-react'
import { useState } from 'react'
import { Button } from './button.tsx'

/** How long the button says that it copied, in milliseconds. */
const SHOWN_MS = 1_600

/** A shell line that can be copied. */
export function CopyLine({ text, prompt = '$' }: { text: string; prompt?: string }) {
  return (
    <div className="flex h-9 items-center gap-2 overflow-hidden rounded-2 border border-line-2 bg-well pr-1 pl-2.5 font-mono text-code whitespace-nowrap max-md:h-12">
      {prompt !== '' && (
        <span aria-hidden="true" className="text-ink-3">
          {prompt}
        </span>
      )}
      <code className="min-w-0 flex-1 overflow-x-auto font-mono [scrollbar-width:none]">{text}</code>
      <CopyButton text={text} />
    </div>
  )
}

/** Copies a text and says so. */
export function CopyButton({ text, label = 'Copy' }: { text: string; label?: string }) {
  const [outcome, setOutcome] = useState<'none' | 'copied' | 'refused'>('none')
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setOutcome('copied')
    } catch {
      // Without a secure origin the browser has no clipboard; the text can still be selected by hand.
      setOutcome('refused')
    }
    setTimeout(() => setOutcome('none'), SHOWN_MS)
  }
  return (
    <Button kind="ghost" size="sm" className="font-sans" onClick={() => void copy()}>
      {outcome === 'copied' ? <Check className="icon-14" /> : <Copy className="icon-14" />}
      <span aria-live="polite">{outcome === 'copied' ? 'Copied' : outcome === 'refused' ? 'Select it' : label}</span>
    </Button>
  )
}
