import type { Permissions, SessionInterface } from '@ai-orchestration/protocol'
import type { ReactNode } from 'react'
import { Segments } from '../ui/segments.tsx'

/** Whether an agent asks; `default` leaves it to how well its machine isolates it. */
export type Asking = Permissions | 'default'

/** Asks how a session's agent is talked with, and whether it asks before it acts; a sentence says what each means. */
export function HowToTalk(props: {
  face: SessionInterface
  onFace: (face: SessionInterface) => void
  /** Why there is no chat, where there is none. */
  chatReason: string | undefined
  permissions: Asking
  onPermissions: (permissions: Asking) => void
  /** The machine isolates its sessions fully. */
  isFull: boolean
}) {
  const { face, permissions, isFull } = props
  return (
    <div className="mt-3.5 flex flex-col gap-3">
      <Line
        title="Talk in"
        text={
          face === 'chat'
            ? 'Messages, tools and questions as entries, on any device. Prompts queue while it works.'
            : 'Its own screen in a terminal, with everything it offers there.'
        }
      >
        <Segments<SessionInterface>
          label="Talk in"
          value={face}
          onChange={props.onFace}
          options={[
            { id: 'chat', label: 'Chat', disabledReason: props.chatReason },
            { id: 'terminal', label: 'Terminal' },
          ]}
        />
      </Line>
      <Line title="Before it acts" text={sentence(permissions, isFull)}>
        <Segments<Asking>
          label="Before it acts"
          value={permissions}
          onChange={props.onPermissions}
          options={[
            { id: 'default', label: 'Default' },
            { id: 'ask', label: 'Ask' },
            { id: 'allow', label: 'Allow' },
          ]}
        />
      </Line>
    </div>
  )
}

function sentence(permissions: Asking, isFull: boolean): string {
  switch (permissions) {
    case 'ask':
      return 'It asks you before it changes files or runs commands; its questions come to the inbox.'
    case 'allow':
      return isFull
        ? 'It asks for nothing: it can change only its own worktree and reach only allowed hosts.'
        : 'It asks for nothing, although this machine does not isolate it fully.'
    case 'default':
      return isFull
        ? 'It asks for nothing, since this machine isolates it fully.'
        : 'It asks, since this machine does not isolate it fully.'
    default:
      return permissions satisfies never
  }
}

function Line({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <div className="flex flex-wrap items-center gap-x-3 gap-y-1.5">
      <span className="w-24 text-12 font-medium text-ink-2 max-md:w-full max-md:text-13">{title}</span>
      {children}
      <span className="min-w-0 flex-1 basis-56 text-12 text-ink-3">{text}</span>
    </div>
  )
}
