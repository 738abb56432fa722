import { Folder, type LucideIcon, Play, Search } from 'lucide-react'
import { useRouter } from 'next/router'
import { Dialog as Radix } from 'radix-ui'
import { type KeyboardEvent, type ReactNode, useId, useState } from 'react'
import { useProjects, useSessions } from '../relay/use-fleet.ts'
import { useFaces } from '../session/use-face.ts'
import { cx } from '../ui/cx.ts'
import { StateGlyph } from '../ui/state-glyph.tsx'
import { type OpenDialog, useDialogs } from './dialogs.tsx'
import { PLACES } from './places.ts'

interface Entry {
  id: string
  label: string
  note: string
  icon: ReactNode
  /** Text that is searched beside the label. */
  words: string
  act: () => void
}

/** Most entries shown at once; more typing narrows them. */
const SHOWN_MAX = 50

/** Finds any place, project, session and action by its name. */
export function Palette({ onClose }: { onClose: () => void }) {
  const [query, setQuery] = useState('')
  const [at, setAt] = useState(0)
  const listId = useId()
  const entries = useEntries(onClose)
    .filter((entry) => matches(entry, query))
    .slice(0, SHOWN_MAX)
  const current = Math.min(at, entries.length - 1)
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault()
      const next = (current + (event.key === 'ArrowDown' ? 1 : -1) + entries.length) % Math.max(1, entries.length)
      setAt(next)
      document.getElementById(`${listId}-${next}`)?.scrollIntoView({ block: 'nearest' })
    } else if (event.key === 'Enter') {
      event.preventDefault()
      entries[current]?.act()
    }
  }
  return (
    <Radix.Root open onOpenChange={(isOpen) => !isOpen && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="animate-fade fixed inset-0 z-40 bg-scrim" />
        <Radix.Content
          aria-describedby={undefined}
          className="animate-appear fixed top-[min(104px,8dvh)] left-1/2 z-50 flex max-h-[min(440px,80dvh)] w-[calc(100vw-24px)] max-w-[600px] -translate-x-1/2 flex-col overflow-hidden rounded-5 border border-line-3 bg-overlay shadow-dialog [--cut:var(--bg-overlay)] focus-visible:shadow-dialog"
        >
          <Radix.Title className="sr-only">Search or run</Radix.Title>
          <div className="flex h-12 flex-none items-center gap-2.5 border-b border-line-2 px-4">
            <Search className="text-ink-3" />
            <input
              // biome-ignore lint/a11y/noAutofocus: the palette is opened to type into it
              autoFocus
              role="combobox"
              aria-expanded="true"
              aria-controls={listId}
              aria-activedescendant={entries.length > 0 ? `${listId}-${current}` : undefined}
              aria-label="Search or run"
              placeholder="Search or run"
              value={query}
              onChange={(event) => {
                setQuery(event.target.value)
                setAt(0)
              }}
              onKeyDown={onKey}
              className="h-full min-w-0 flex-1 bg-transparent text-15 focus-visible:shadow-none max-md:text-16"
            />
          </div>
          <div id={listId} role="listbox" aria-label="Results" className="min-h-0 overflow-y-auto p-1.5">
            {entries.map((entry, index) => (
              <div
                key={entry.id}
                id={`${listId}-${index}`}
                role="option"
                tabIndex={-1}
                aria-selected={index === current}
                onPointerMove={() => setAt(index)}
                onClick={entry.act}
                onKeyDown={onKey}
                className={cx(
                  'flex h-9 cursor-default items-center gap-2.5 rounded-3 px-2.5 max-md:h-11 [&_.lucide]:text-ink-3',
                  index === current && 'bg-surface-4 [--cut:var(--bg-4)]',
                )}
              >
                {entry.icon}
                <span className="min-w-0 flex-1 truncate">{entry.label}</span>
                <span className="truncate text-12 text-ink-3">{entry.note}</span>
              </div>
            ))}
            {entries.length === 0 && <p className="px-2.5 py-3 text-ink-3">Nothing of that name.</p>}
          </div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

function useEntries(onClose: () => void): Entry[] {
  const router = useRouter()
  const dialogs = useDialogs()
  const projects = useProjects() ?? []
  const sessions = useSessions() ?? []
  const faceOf = useFaces()
  const go = (href: string) => () => {
    onClose()
    void router.push(href)
  }
  const open = (dialog: OpenDialog) => () => dialogs.open(dialog)
  const here = typeof router.query['id'] === 'string' ? router.query['id'] : undefined
  const session = sessions.find((each) => each.id === here)
  return [
    ...(session === undefined
      ? []
      : [
          action(
            'terminate',
            `Terminate ${session.title ?? session.name}`,
            open({ kind: 'terminate', sessionId: session.id }),
          ),
        ]),
    action('new-session', 'New session', open({ kind: 'new-session' }), 'N'),
    action('new-project', 'New project', open({ kind: 'new-project' })),
    ...sessions.map((each) => {
      const face = faceOf(each)
      return {
        id: each.id,
        label: each.title ?? each.name,
        note: `${each.projectId}, ${face.word.toLowerCase()}`,
        words: `${each.id} ${each.agent} ${each.branch}`,
        icon: <StateGlyph state={face.glyph} />,
        act: go(`/sessions/${each.id}`),
      }
    }),
    ...projects.map((each) => ({
      id: `project-${each.id}`,
      label: each.title ?? each.name,
      note: 'project',
      words: `${each.name} ${each.repoUrl ?? ''}`,
      icon: <Folder />,
      act: go(`/projects/${each.id}`),
    })),
    ...PLACES.map((place) => ({
      id: place.href,
      label: place.label,
      note: 'page',
      words: '',
      icon: icon(place.icon),
      act: go(place.href),
    })),
    action('shortcuts', 'Shortcuts', open({ kind: 'shortcuts' }), '?'),
  ]
}

function action(id: string, label: string, act: () => void, note = 'action'): Entry {
  return { id: `action-${id}`, label, note, words: 'create run', icon: icon(Play), act }
}

function icon(Icon: LucideIcon): ReactNode {
  return <Icon />
}

function matches(entry: Entry, query: string): boolean {
  const text = `${entry.label} ${entry.note} ${entry.words}`.toLowerCase()
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word))
}
