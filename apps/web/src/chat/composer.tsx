import type { ChatHead, ChatOption } from '@ai-orchestration/protocol'
import { ArrowUp, Clock, Square, X } from 'lucide-react'
import { type KeyboardEvent, type RefObject, useState } from 'react'
import { inertText } from '../code/inert-text.ts'
import { trpc } from '../relay/trpc.ts'
import { Button, IconButton } from '../ui/button.tsx'
import { cx } from '../ui/cx.ts'
import { Kbd } from '../ui/kbd.tsx'
import { Select } from '../ui/select.tsx'
import { toastFailed } from '../ui/toast.ts'
import { useDraft } from './drafts.ts'
import type { EntryOf } from './rows.ts'
import { SlashCommands } from './slash-commands.tsx'

/** Where a person writes to the agent, with the prompts that wait on top of it. */
export function Composer(props: {
  sessionId: string
  head: ChatHead | undefined
  queue: readonly EntryOf<'prompt'>[]
  /** Why nothing can be sent; what is written stays. */
  reason: string | undefined
  onSend: (text: string) => void
  onInterrupt: () => void
  field: RefObject<HTMLTextAreaElement | null>
}) {
  const { sessionId, head, queue, reason, field } = props
  const [text, setText] = useDraft(sessionId)
  const isWorking = head?.state === 'working' || head?.state === 'needs_input'
  const isEmpty = text.trim() === ''
  const send = () => {
    if (isEmpty || reason !== undefined) return
    props.onSend(text.trim())
    setText('')
  }
  const sendButton = (
    <IconButton
      kind={isEmpty || isWorking ? 'default' : 'primary'}
      size="sm"
      label={isWorking ? 'Add to the queue' : 'Send'}
      disabledReason={reason ?? (isEmpty ? 'Write something first' : undefined)}
      onClick={send}
      className="max-md:!border-transparent max-md:!bg-transparent"
    >
      <span
        className={cx(
          'grid place-items-center max-md:size-8 max-md:rounded-3 max-md:border',
          isEmpty || isWorking
            ? 'max-md:border-line-3 max-md:bg-surface-3'
            : 'max-md:border-transparent max-md:bg-accent-solid [&_.lucide]:!text-accent-on',
        )}
      >
        <ArrowUp className="icon-14 max-md:!size-4" />
      </span>
    </IconButton>
  )
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing || event.defaultPrevented) return
    event.preventDefault()
    send()
  }
  return (
    <div className="mx-auto w-full max-w-[820px] flex-none px-5 pb-4 max-md:px-3 max-md:pb-2">
      <Queue sessionId={sessionId} queue={queue} />
      <div className="group/composer relative rounded-4 border border-line-3 bg-surface-2 pt-2.5 pr-2 pb-2 pl-3 max-md:rounded-[10px] max-md:p-0 max-md:pl-3.5 transition-colors duration-[var(--d-fast)] focus-within:border-line-control">
        <SlashCommands
          text={text}
          commands={head?.commands ?? []}
          field={field}
          onChoose={(name) => setText(`/${name} `)}
        />
        <div className="max-md:flex max-md:items-end">
          <textarea
            ref={field}
            aria-label="Prompt"
            rows={1}
            value={text}
            placeholder={isWorking ? 'Add to the queue' : 'Ask for something'}
            onChange={(event) => setText(event.target.value)}
            onKeyDown={onKey}
            className="block max-h-[38dvh] w-full resize-none bg-transparent pr-1 text-15 [field-sizing:content] focus-visible:shadow-none max-md:py-2.5 max-md:text-16 md:min-h-9 md:pb-2"
          />
          <span className="flex md:hidden">
            {isWorking && <InterruptIcon reason={reason} onInterrupt={props.onInterrupt} />}
            {sendButton}
          </span>
        </div>
        <div className="-ml-1 flex items-center gap-1 max-md:hidden max-md:group-focus-within/composer:flex">
          <span className="flex min-w-0 items-center gap-1 overflow-hidden">
            {head?.options.filter(isOffered).map((option) => (
              <Option key={option.id} sessionId={sessionId} option={option} reason={reason} />
            ))}
          </span>
          <span className="flex-1" />
          {head?.usage !== undefined && <Context usage={head.usage} />}
          {isWorking && (
            <Button
              kind="ghost"
              size="sm"
              onClick={props.onInterrupt}
              disabledReason={reason}
              className="max-md:hidden"
            >
              Interrupt
              <Kbd>Esc</Kbd>
            </Button>
          )}
          <span className="flex max-md:hidden">{sendButton}</span>
        </div>
      </div>
    </div>
  )
}

/** How full the agent's memory of the conversation is, and what it cost where the agent says so. */
function Context({ usage }: { usage: NonNullable<ChatHead['usage']> }) {
  const { usedTokens, contextTokens, cost } = usage
  const percent = contextTokens === 0 ? 0 : Math.round((usedTokens / contextTokens) * 100)
  return (
    <span
      title={`${usedTokens.toLocaleString()} of ${contextTokens.toLocaleString()} tokens of context in use`}
      className="mr-1 flex-none text-12 text-ink-3 max-md:hidden"
    >
      {cost !== undefined && `${cost.amount.toFixed(2)} ${cost.currency}, `}
      {percent}% of context
    </span>
  )
}

function InterruptIcon({ reason, onInterrupt }: { reason: string | undefined; onInterrupt: () => void }) {
  return (
    <IconButton label="Interrupt" disabledReason={reason} onClick={onInterrupt}>
      <Square className="icon-20" />
    </IconButton>
  )
}

function Queue({ sessionId, queue }: { sessionId: string; queue: readonly EntryOf<'prompt'>[] }) {
  const { client } = trpc.useUtils()
  if (queue.length === 0) return null
  const remove = async (promptId: string) => {
    try {
      await client.chat.cancel.mutate({ sessionId, promptId })
    } catch (thrown) {
      toastFailed('It is still in the queue', thrown)
    }
  }
  return (
    <ul
      aria-label="Prompts that wait"
      className="mx-2.5 max-h-36 overflow-y-auto rounded-t-4 border border-b-0 border-line-2 bg-surface-2"
    >
      {queue.map((entry) => (
        <li
          key={entry.id}
          className="flex h-[30px] items-center gap-2 border-t border-line-1 pr-1.5 pl-2.5 text-12 text-ink-2 first:border-t-0 max-md:h-11"
        >
          <Clock className="icon-14 text-ink-3" />
          <span className="min-w-0 flex-1 truncate" title={inertText(entry.text.slice(0, 2_000))}>
            {inertText(entry.text.slice(0, 300))}
          </span>
          <span className="text-ink-3">queued</span>
          <IconButton label="Remove from the queue" size="sm" onClick={() => void remove(entry.id)}>
            <X className="icon-14" />
          </IconButton>
        </li>
      ))}
    </ul>
  )
}

/** One of the agent's own settings. */
function Option({ sessionId, option, reason }: { sessionId: string; option: ChatOption; reason: string | undefined }) {
  const { client } = trpc.useUtils()
  const [wanted, setWanted] = useState<{ value: string; instead: string }>()
  // Shown at once; the agent's own word counts as soon as it says another one.
  const value = wanted !== undefined && wanted.instead === option.value ? wanted.value : option.value
  const choose = async (next: string) => {
    setWanted({ value: next, instead: option.value })
    try {
      await client.chat.setOption.mutate({ sessionId, optionId: option.id, value: next })
    } catch (thrown) {
      setWanted(undefined)
      toastFailed(`${inertText(option.name)} was not changed`, thrown)
    }
  }
  return (
    <Select
      isGhost
      label={inertText(option.name)}
      value={value}
      onChange={(next) => void choose(next)}
      isDisabled={reason !== undefined}
      options={option.values.map((each) => ({
        value: each.id,
        label: inertText(each.name),
        note: each.description === undefined ? undefined : inertText(each.description),
        isNoteBelow: true,
      }))}
    />
  )
}

function isOffered(option: ChatOption): boolean {
  return option.values.length > 1
}
