import { type FormEvent, useState } from 'react'
import { useOfflineReason } from '../relay/connection.ts'
import { useOrchestrators, useRoleReason } from '../relay/use-fleet.ts'
import { Button } from '../ui/button.tsx'
import { Input } from '../ui/field.tsx'
import { checkCloneUrl } from './clone-url-check.ts'
import { CreationProgress } from './creation-progress.tsx'
import { useCreateProject } from './use-create-project.ts'

/** The one field of the first project: where its repository is. */
export function NewProjectForm({ isReady, onMore }: { isReady: boolean; onMore: (repoUrl?: string) => void }) {
  const [url, setUrl] = useState('')
  const [isTried, setTried] = useState(false)
  const creation = useCreateProject()
  const offline = useOfflineReason()
  const role = useRoleReason('operator')
  const hasSeveral = (useOrchestrators()?.filter((each) => each.state === 'online').length ?? 0) > 1
  const check = checkCloneUrl(url.trim())
  const problem = isTried && !check.isValid ? check.message : undefined
  const submit = (event: FormEvent) => {
    event.preventDefault()
    setTried(true)
    if (!check.isValid) return
    if (hasSeveral) onMore(url.trim())
    else creation.create({ repoUrl: url.trim() })
  }
  return (
    <form onSubmit={submit} noValidate>
      <div className="mt-2 flex items-center gap-2 max-md:flex-col max-md:items-stretch">
        <Input
          id="first-repository"
          aria-label="Repository URL"
          placeholder="https://github.com/you/repo.git"
          value={url}
          onChange={(event) => setUrl(event.target.value)}
          isMono
          isInvalid={problem !== undefined}
          inputMode="url"
          disabled={creation.isRunning}
          frameClassName="!h-9 flex-1 max-md:!h-11 max-md:flex-none"
        />
        <Button
          type="submit"
          kind="primary"
          size="lg"
          isSending={creation.isRunning}
          disabledReason={offline ?? role ?? (isReady ? undefined : 'No machine is connected')}
        >
          Create project
        </Button>
      </div>
      {problem !== undefined ? (
        <p id="first-repository-note" role="alert" className="mt-2 text-12 text-failed">
          {problem}
        </p>
      ) : (
        <p id="first-repository-note" className="mt-2 text-12 text-ink-2">
          {check.isValid && check.inferredName !== undefined ? (
            <>
              It will be called <span className="code-sm">{check.inferredName}</span>.
            </>
          ) : (
            'The name comes from the repository.'
          )}{' '}
          <button type="button" onClick={() => onMore()} className="text-accent max-md:py-2">
            Start empty instead
          </button>
        </p>
      )}
      <CreationProgress creation={creation} />
    </form>
  )
}
