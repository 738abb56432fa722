import {
  type AgentInfo,
  isSlug,
  type Project,
  refSchema,
  type SessionInterface,
  SLUG_RULE,
} from '@ai-orchestration/protocol'
import { Folder, GitBranch } from 'lucide-react'
import { type FormEvent, type KeyboardEvent, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { agentsOf, useOrchestrators, useProjects, useRoleReason, useSessions } from '../relay/use-fleet.ts'
import { useDialogs } from '../shell/dialogs.tsx'
import { Button } from '../ui/button.tsx'
import { Dialog, DialogFooter } from '../ui/dialog.tsx'
import { Field, Input } from '../ui/field.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { Select } from '../ui/select.tsx'
import { type Asking, HowToTalk } from './how-to-talk.tsx'
import { proposeName, proposeTitle } from './propose-name.ts'
import { type NewSession, useStartSession } from './started-here.ts'

/** Asks what a new session shall do, and derives the rest; Enter creates it. */
export function NewSessionDialog(props: {
  projectId: string | undefined
  draft: NewSession | undefined
  onClose: () => void
}) {
  const dialogs = useDialogs()
  const projects = useProjects()?.filter((each) => each.isConflicted !== true)
  const [projectId, setProjectId] = useState(props.draft?.projectId ?? props.projectId)
  const likely = useLikelyProject(projects)
  const project = projects?.find((each) => each.id === projectId) ?? likely
  if (projects !== undefined && project === undefined)
    return (
      <Dialog isOpen onClose={props.onClose} width="question" title="New session">
        <p className="px-[18px] pb-4 text-ink-2">A session works on a project, and there is none yet.</p>
        <DialogFooter>
          <Button kind="primary" onClick={() => dialogs.open({ kind: 'new-project' })}>
            New project
          </Button>
        </DialogFooter>
      </Dialog>
    )
  return (
    <Dialog
      isOpen
      onClose={props.onClose}
      title="New session"
      header={
        project !== undefined && (
          <>
            <span className="text-ink-3">in</span>
            <Select
              isInline
              label="Project"
              icon={<Folder className="icon-14" />}
              value={project.id}
              onChange={setProjectId}
              options={(projects ?? []).map((each) => ({ value: each.id, label: each.title ?? each.name }))}
            />
          </>
        )
      }
    >
      {project !== undefined && (
        <NewSessionForm key={project.id} project={project} draft={props.draft} onClose={props.onClose} />
      )}
    </Dialog>
  )
}

function NewSessionForm({
  project,
  draft,
  onClose,
}: {
  project: Project
  draft: NewSession | undefined
  onClose: () => void
}) {
  const orchestrator = useOrchestrators()?.find((each) => each.id === project.orchestratorId)
  const taken = new Set(useSessions()?.flatMap((each) => (each.projectId === project.id ? [each.name] : [])))
  const start = useStartSession()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const agents = agentsOf(orchestrator)

  const [prompt, setPrompt] = useState(draft?.prompt ?? '')
  const [ownName, setOwnName] = useState(draft?.name)
  const [ownAgent, setOwnAgent] = useState(draft?.agent)
  const [base, setBase] = useState(draft?.base ?? '')
  const [ownInterface, setInterface] = useState<SessionInterface | undefined>(draft?.interface)
  const [permissions, setPermissions] = useState<Asking>(draft?.permissions ?? 'default')

  const name = ownName ?? proposeName(prompt, taken)
  const agent = ownAgent ?? defaultAgent(agents, project)
  const hasChat = agents.find((each) => each.id === agent)?.hasChat === true
  const face: SessionInterface = hasChat ? (ownInterface ?? 'chat') : 'terminal'
  const nameProblem = nameError(name, taken)
  const baseProblem =
    base === '' || refSchema.safeParse(base).success ? undefined : 'Use a plain branch, tag or commit, such as main.'
  const machineReason =
    orchestrator === undefined || orchestrator.state === 'offline'
      ? `${orchestrator?.name ?? 'Its machine'} is offline`
      : undefined
  const reason =
    offline ??
    role ??
    machineReason ??
    nameProblem ??
    baseProblem ??
    (agent === undefined ? 'No agent is ready there' : undefined)

  const submit = (event?: FormEvent) => {
    event?.preventDefault()
    if (reason !== undefined || agent === undefined) return
    const text = prompt.trim()
    const title = proposeTitle(text)
    onClose()
    start({
      projectId: project.id,
      name,
      agent,
      ...(text === '' ? {} : { prompt: text }),
      ...(title === undefined ? {} : { title }),
      ...(base === '' ? {} : { base }),
      ...(face === 'chat' ? { interface: face } : {}),
      ...(permissions === 'default' ? {} : { permissions }),
      ...(draft?.resumeBranch === true && draft.name === name ? { resumeBranch: true } : {}),
    })
  }
  const onPromptKey = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    submit()
  }

  return (
    <form onSubmit={submit} noValidate className="flex min-h-0 flex-col">
      <div className="min-h-0 overflow-y-auto">
        <textarea
          aria-label="What shall it do?"
          // biome-ignore lint/a11y/noAutofocus: a dialog that was just opened by hand, and this is what it asks
          autoFocus
          rows={4}
          value={prompt}
          placeholder="What shall it do? The first prompt for the agent; empty starts it and waits."
          onChange={(event) => setPrompt(event.target.value)}
          onKeyDown={onPromptKey}
          className="block min-h-[112px] w-full resize-none bg-transparent px-[18px] pt-1 pb-3 text-15 text-ink-1 [field-sizing:content] focus-visible:shadow-none max-md:text-16"
        />
        <div className="border-t border-line-2 px-[18px] pt-3.5 pb-4">
          <div className="grid grid-cols-[2fr_1fr_1fr] gap-3 max-md:grid-cols-2">
            <Field id="session-name" label="Name" className="max-md:col-span-2" error={nameProblem}>
              <Input
                id="session-name"
                isMono
                value={name}
                isInvalid={nameProblem !== undefined}
                onChange={(event) => setOwnName(event.target.value === '' ? undefined : event.target.value)}
                after={
                  ownName === undefined &&
                  prompt.trim() !== '' && <span className="text-11 text-ink-3">from prompt</span>
                }
              />
            </Field>
            <Field id="session-agent" label="Agent">
              <Select
                id="session-agent"
                label="Agent"
                value={agent ?? ''}
                onChange={setOwnAgent}
                options={agents.map((each) => ({
                  value: each.id,
                  label: each.name,
                  note: each.ready ? undefined : (each.reason ?? 'Not ready'),
                  isDisabled: !each.ready,
                }))}
              />
            </Field>
            <Field id="session-base" label="Base branch" error={baseProblem}>
              <Input
                id="session-base"
                isMono
                placeholder={project.defaultBranch}
                value={base}
                isInvalid={baseProblem !== undefined}
                onChange={(event) => setBase(event.target.value.trim())}
                before={<GitBranch className="icon-14" />}
              />
            </Field>
          </div>
          <HowToTalk
            face={face}
            onFace={setInterface}
            chatReason={hasChat ? undefined : 'This agent has only its terminal here'}
            permissions={permissions}
            onPermissions={setPermissions}
            isFull={orchestrator?.isolation !== 'degraded'}
          />
          <p className="mt-2.5 text-12 text-ink-3">
            Branch <span className="code-sm text-ink-2">feature/{isSlug(name) ? name : '…'}</span>, on{' '}
            <span className="text-ink-2">{orchestrator?.name ?? 'an unknown machine'}</span>
            {machineReason !== undefined && <span className="text-failed">, which is offline</span>}
          </p>
          <AgentNotes agents={agents} />
        </div>
      </div>
      <DialogFooter hint="Shift and Enter for a new line">
        <Button kind="ghost" size="lg" onClick={onClose}>
          Cancel
        </Button>
        <Button type="submit" kind="primary" size="lg" disabledReason={reason}>
          Create session
          {reason === undefined && <Kbd isOnAccent>↵</Kbd>}
        </Button>
      </DialogFooter>
    </form>
  )
}

/** The project of the newest session, among those whose machine can be asked. */
function useLikelyProject(projects: Project[] | undefined): Project | undefined {
  const sessions = useSessions()
  const online = new Set(useOrchestrators()?.flatMap((each) => (each.state === 'online' ? [each.id] : [])))
  const usable = projects?.filter((each) => online.has(each.orchestratorId)) ?? []
  const newest = sessions?.find((session) => usable.some((each) => each.id === session.projectId))
  return usable.find((each) => each.id === newest?.projectId) ?? usable[0] ?? projects?.[0]
}

/** Says why an agent cannot be chosen, without opening the list. */
function AgentNotes({ agents }: { agents: AgentInfo[] }) {
  const missing = agents.filter(
    (each) => !each.ready && each.reason !== undefined && (each.installed || each.id === 'claude'),
  )
  if (missing.length === 0) return null
  return (
    <ul className="mt-1 text-12 text-ink-3">
      {missing.map((each) => (
        <li key={each.id}>
          {each.name} is not ready: {each.reason}
        </li>
      ))}
    </ul>
  )
}

function defaultAgent(agents: AgentInfo[], project: Project): string | undefined {
  const ready = agents.filter((each) => each.ready)
  return (
    ready.find((each) => each.id === project.agent) ??
    ready.find((each) => each.id === 'claude') ??
    ready.find((each) => each.id === 'shell') ??
    ready[0]
  )?.id
}

function nameError(name: string, taken: ReadonlySet<string>): string | undefined {
  if (!isSlug(name)) return SLUG_RULE
  return taken.has(name) ? 'A session of this name exists in the project. Choose another name.' : undefined
}
