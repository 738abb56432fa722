import { useRouter } from 'next/router'
import { useEffect, useRef } from 'react'
import { useDialogs } from './dialogs.tsx'

/** Every shortcut, as the list of shortcuts shows it. */
export const SHORTCUTS: readonly { keys: readonly string[]; does: string }[] = [
  { keys: ['⌘', 'K'], does: 'Search or run anything' },
  { keys: ['N'], does: 'New session' },
  { keys: ['J'], does: 'Next row' },
  { keys: ['K'], does: 'Row before' },
  { keys: ['↵'], does: 'Open the row' },
  { keys: ['A'], does: 'Allow the marked question once' },
  { keys: ['⇧', 'A'], does: 'Allow it always in its session' },
  { keys: ['D'], does: 'Deny it' },
  { keys: ['Esc'], does: 'Interrupt the agent in a chat' },
  { keys: ['G', 'I'], does: 'Go to inbox and fleet' },
  { keys: ['G', 'O'], does: 'Go to orchestrators' },
  { keys: ['G', 'S'], does: 'Go to settings' },
  { keys: ['?'], does: 'This list' },
]

const PLACES: Readonly<Record<string, string>> = { i: '/', o: '/orchestrators', s: '/settings' }

/** How long `g` waits for its second key, in milliseconds. */
const SEQUENCE_MS = 1_200

/** Listens to the page's shortcuts; keys typed into a field, a terminal or a dialog are left alone. */
export function useShortcuts(newSessionProjectId: string | undefined): void {
  const router = useRouter()
  const dialogs = useDialogs()
  const goneAt = useRef(0)
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const key = event.key.toLowerCase()
      if (key === 'k' && (event.metaKey || (event.ctrlKey && !isTerminal(event.target)))) {
        event.preventDefault()
        dialogs.open({ kind: 'palette' })
        return
      }
      if (event.metaKey || event.ctrlKey || event.altKey || dialogs.current !== undefined || isTyping(event.target))
        return
      if (event.timeStamp - goneAt.current < SEQUENCE_MS && PLACES[key] !== undefined) {
        goneAt.current = 0
        event.preventDefault()
        void router.push(PLACES[key])
        return
      }
      goneAt.current = key === 'g' ? event.timeStamp : 0
      if (key === 'n') {
        event.preventDefault()
        dialogs.open({
          kind: 'new-session',
          ...(newSessionProjectId === undefined ? {} : { projectId: newSessionProjectId }),
        })
      } else if (key === '?') dialogs.open({ kind: 'shortcuts' })
      else if (key === 'j' || key === 'k') moveRow(key === 'j' ? 1 : -1)
    }
    window.addEventListener('keydown', onKey)
    return () => window.removeEventListener('keydown', onKey)
  }, [router, dialogs, newSessionProjectId])
}

/** Moves the focus among the rows of the page; Enter then opens one, as on any link. */
function moveRow(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row]')]
  const at = rows.findIndex((row) => row.matches(':focus'))
  const next = rows[at === -1 ? (step === 1 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}

/** True while a key belongs to what is being typed into. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches('input, textarea, select'))
}

function isTerminal(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('.xterm') !== null
}
