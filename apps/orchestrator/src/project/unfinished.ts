import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { processesUsing } from '../process/processes.ts'
import { run } from '../process/run.ts'

// As `mkdtemp` names the directory in which a project is made.
const UNFINISHED = /^\.creating-([a-z0-9-]+)-[A-Za-z0-9]{6}$/

/** The directory of a project whose creation was cut off. */
export interface UnfinishedProject {
  projectId: string
  path: string
}

/** What creations left that were cut off; to be asked before this process makes a project of its own. */
export async function findUnfinishedProjects(projectsDir: string): Promise<UnfinishedProject[]> {
  const entries = await readdir(projectsDir, { withFileTypes: true })
  return entries.flatMap((entry) => {
    const projectId = UNFINISHED.exec(entry.name)?.[1]
    return projectId === undefined || !entry.isDirectory()
      ? []
      : [{ projectId, path: join(entry.parentPath, entry.name) }]
  })
}

/**
 * Removes what a creation left, unless a process uses it, such as a clone that has outlived its orchestrator.
 *
 * @returns the processes that use it; when there are none, it is gone.
 */
export async function removeUnfinishedProject({ path }: UnfinishedProject): Promise<number[]> {
  const users = await processesUsing(path)
  if (users.length === 0) await run('rm', ['-rf', '--one-file-system', '--', path])
  return users
}
