import type { CommandInput } from '@ai-orchestration/protocol'
import { useRouter } from 'next/router'
import { useState } from 'react'
import { ulid } from 'ulid'
import type { CommandView } from '../relay/fleet-state.ts'
import { type ReadError, readError } from '../relay/read-error.ts'
import { trpc } from '../relay/trpc.ts'
import { useCommand } from '../relay/use-fleet.ts'

/** Input of a new project, with the machine it shall live on. */
export type NewProject = CommandInput<'create_project'> & { orchestratorId?: string }

/** The making of one project: its live progress, its failure, and how to begin or stop it. */
export interface ProjectCreation {
  isRunning: boolean
  progress: CommandView | undefined
  error: ReadError | undefined
  create: (input: NewProject) => void
  cancel: () => void
}

/** Makes a project and goes to its page. */
export function useCreateProject(onDone?: () => void): ProjectCreation {
  const router = useRouter()
  const { client } = trpc.useUtils()
  const [commandId, setCommandId] = useState<string>()
  const [isRunning, setRunning] = useState(false)
  const [error, setError] = useState<ReadError>()
  const progress = useCommand(commandId)
  const create = async (input: NewProject) => {
    const id = ulid()
    setCommandId(id)
    setError(undefined)
    setRunning(true)
    try {
      const project = await client.projects.create.mutate({ ...input, commandId: id })
      onDone?.()
      await router.push(`/projects/${project.id}`)
    } catch (thrown) {
      setError(readError(thrown))
    } finally {
      setRunning(false)
    }
  }
  const cancel = () => {
    if (commandId !== undefined)
      void client.commands.cancel.mutate({ commandId }).catch((thrown: unknown) => setError(readError(thrown)))
  }
  return { isRunning, progress, error, create: (input) => void create(input), cancel }
}
