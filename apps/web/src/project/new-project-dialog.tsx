import { isSlug, SLUG_RULE } from '@ai-orchestration/protocol'
import { type FormEvent, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { useOrchestrators, useProjects, useRoleReason } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { Dialog, DialogFooter } from '../ui/dialog.tsx'
import { Field, Input } from '../ui/field.tsx'
import { Kbd } from '../ui/kbd.tsx'
import { Segments } from '../ui/segments.tsx'
import { Select } from '../ui/select.tsx'
import { checkCloneUrl } from './clone-url-check.ts'
import { CreationProgress } from './creation-progress.tsx'
import { useCreateProject } from './use-create-project.ts'

/** Makes a project from a repository, or an empty one; the clone's progress shows in place. */
export function NewProjectDialog({ repoUrl, onClose }: { repoUrl: string | undefined; onClose: () => void }) {
  const [source, setSource] = useState<'clone' | 'empty'>('clone')
  const [url, setUrl] = useState(repoUrl ?? '')
  const [ownName, setOwnName] = useState<string>()
  const [machine, setMachine] = useState<string>()
  const [isTried, setTried] = useState(false)
  const creation = useCreateProject(onClose)
  const projects = useProjects()
  const online = useOrchestrators()?.filter((each) => each.state === 'online') ?? []
  const offline = useOfflineReason()
  const role = useRoleReason('operator')

  const check = checkCloneUrl(url.trim())
  const inferred = source === 'clone' && check.isValid ? check.inferredName : undefined
  const name = ownName ?? inferred ?? ''
  const urlProblem =
    source === 'clone' && !check.isValid && (isTried || url.trim().length > 3) ? check.message : undefined
  const nameProblem = nameError(name, {
    isTried: isTried || ownName !== undefined,
    isTaken: projects?.some((each) => each.name === name) === true,
  })
  const orchestratorId = machine ?? online[0]?.id

  const submit = (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if ((source === 'clone' && !check.isValid) || !isSlug(name) || nameProblem !== undefined) return
    creation.create({
      name,
      ...(source === 'clone' ? { repoUrl: url.trim() } : {}),
      ...(online.length > 1 && orchestratorId !== undefined ? { orchestratorId } : {}),
    })
  }

  return (
    <Dialog isOpen onClose={onClose} title="New project">
      <form onSubmit={submit} noValidate className="flex min-h-0 flex-col">
        <div className="flex min-h-0 flex-col gap-4 overflow-y-auto px-[18px] pt-1 pb-4">
          <Segments
            label="Where it comes from"
            value={source}
            onChange={setSource}
            options={[
              { id: 'clone', label: 'From a repository' },
              { id: 'empty', label: 'Start empty' },
            ]}
          />
          {source === 'clone' && (
            <Field
              id="repository"
              label="Repository"
              error={urlProblem}
              hint="https, ssh or user@host:path. Each session works on its own branch of it."
            >
              <Input
                id="repository"
                autoFocus
                isMono
                placeholder="https://github.com/you/repo.git"
                inputMode="url"
                value={url}
                isInvalid={urlProblem !== undefined}
                disabled={creation.isRunning}
                onChange={(event) => setUrl(event.target.value)}
              />
            </Field>
          )}
          <div className="grid grid-cols-2 gap-3 max-md:grid-cols-1">
            <Field
              id="project-name"
              label="Name"
              error={nameProblem}
              hint="Names the folder, the containers and the commands."
            >
              <Input
                id="project-name"
                autoFocus={source === 'empty'}
                isMono
                placeholder={source === 'empty' ? 'my-project' : 'from the repository'}
                value={name}
                isInvalid={nameProblem !== undefined}
                disabled={creation.isRunning}
                onChange={(event) => setOwnName(event.target.value === '' ? undefined : event.target.value)}
                after={
                  ownName === undefined &&
                  inferred !== undefined && <span className="text-11 text-ink-3">from repository</span>
                }
              />
            </Field>
            {online.length > 1 && (
              <Field id="machine" label="Machine">
                <Select
                  id="machine"
                  label="Machine"
                  value={orchestratorId ?? ''}
                  onChange={setMachine}
                  options={online.map((each) => ({
                    value: each.id,
                    label: each.name,
                    note: `${each.machine.cores} cores`,
                  }))}
                />
              </Field>
            )}
          </div>
          <CreationProgress creation={creation} />
        </div>
        <DialogFooter
          hint={
            online.length === 0 ? 'No machine is connected' : online.length === 1 ? `On ${online[0]?.name ?? ''}` : ''
          }
        >
          <Button kind="ghost" size="lg" onClick={onClose}>
            {creation.isRunning ? 'Hide' : 'Cancel'}
          </Button>
          <Button
            type="submit"
            kind="primary"
            size="lg"
            isSending={creation.isRunning}
            disabledReason={offline ?? role ?? (online.length === 0 ? 'No machine is connected' : undefined)}
          >
            Create project
            <Kbd isOnAccent>↵</Kbd>
          </Button>
        </DialogFooter>
      </form>
    </Dialog>
  )
}

function nameError(name: string, { isTried, isTaken }: { isTried: boolean; isTaken: boolean }): string | undefined {
  if (isTaken) return 'A project of this name exists. Choose another name.'
  if (!isTried || isSlug(name)) return undefined
  return SLUG_RULE
}
