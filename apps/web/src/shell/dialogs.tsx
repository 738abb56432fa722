import dynamic from 'next/dynamic'
import { createContext, type ReactNode, useContext, useMemo, useState } from 'react'
import type { NewSession } from '../session/started-here.ts'

/** The dialogs that any place may open, with what they start from. */
export type OpenDialog =
  | { kind: 'new-session'; projectId?: string; draft?: NewSession }
  | { kind: 'new-project'; repoUrl?: string }
  | { kind: 'terminate'; sessionId: string }
  | { kind: 'delete-project'; projectId: string }
  | { kind: 'rules'; projectId: string }
  | { kind: 'palette' }
  | { kind: 'shortcuts' }

/** Opens and closes the one dialog of the page. */
export interface Dialogs {
  current: OpenDialog | undefined
  open: (dialog: OpenDialog) => void
  close: () => void
}

const Context = createContext<Dialogs>({ current: undefined, open: () => undefined, close: () => undefined })

const NewSessionDialog = dynamic(() => import('../session/new-session-dialog.tsx').then((m) => m.NewSessionDialog), {
  ssr: false,
})
const NewProjectDialog = dynamic(() => import('../project/new-project-dialog.tsx').then((m) => m.NewProjectDialog), {
  ssr: false,
})
const TerminateDialog = dynamic(() => import('../session/terminate-dialog.tsx').then((m) => m.TerminateDialog), {
  ssr: false,
})
const DeleteProjectDialog = dynamic(
  () => import('../project/delete-project-dialog.tsx').then((m) => m.DeleteProjectDialog),
  { ssr: false },
)
const RulesDialog = dynamic(() => import('../rules/rules-dialog.tsx').then((m) => m.RulesDialog), { ssr: false })
const Palette = dynamic(() => import('./palette.tsx').then((m) => m.Palette), { ssr: false })
const ShortcutsDialog = dynamic(() => import('./shortcuts-dialog.tsx').then((m) => m.ShortcutsDialog), { ssr: false })

/** The page's one dialog. */
export function useDialogs(): Dialogs {
  return useContext(Context)
}

/** Holds the page's one dialog; each is loaded when it is first opened. */
export function DialogsProvider({ children }: { children: ReactNode }) {
  const [current, open] = useState<OpenDialog>()
  const value = useMemo(() => ({ current, open, close: () => open(undefined) }), [current])
  return (
    <Context.Provider value={value}>
      {children}
      {current !== undefined && <Shown dialog={current} close={value.close} />}
    </Context.Provider>
  )
}

function Shown({ dialog, close }: { dialog: OpenDialog; close: () => void }) {
  switch (dialog.kind) {
    case 'new-session':
      return <NewSessionDialog projectId={dialog.projectId} draft={dialog.draft} onClose={close} />
    case 'new-project':
      return <NewProjectDialog repoUrl={dialog.repoUrl} onClose={close} />
    case 'terminate':
      return <TerminateDialog sessionId={dialog.sessionId} onClose={close} />
    case 'delete-project':
      return <DeleteProjectDialog projectId={dialog.projectId} onClose={close} />
    case 'rules':
      return <RulesDialog projectId={dialog.projectId} onClose={close} />
    case 'palette':
      return <Palette onClose={close} />
    case 'shortcuts':
      return <ShortcutsDialog onClose={close} />
    default:
      return dialog satisfies never
  }
}
