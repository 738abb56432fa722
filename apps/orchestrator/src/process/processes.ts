import { readdir, readFile, readlink } from 'node:fs/promises'

/** Processes whose environment holds this variable with this value: what a program and its children were started with. */
export async function processesWith(variable: string, value: string): Promise<number[]> {
  return await processesWhere(async (pid) => {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
    return environment.split('\0').includes(`${variable}=${value}`)
  })
}

/** Processes that work in a directory, have a file of it open or name it in their arguments. */
export async function processesUsing(directory: string): Promise<number[]> {
  const isInside = (path: string) => path === directory || path.startsWith(`${directory}/`)
  return await processesWhere(async (pid) => {
    const argv = await readFile(`/proc/${pid}/cmdline`, 'utf8')
    if (argv.split('\0').some(isInside)) return true
    if (isInside(await readlink(`/proc/${pid}/cwd`))) return true
    for (const fd of await readdir(`/proc/${pid}/fd`))
      if (isInside(await readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''))) return true
    return false
  })
}

async function processesWhere(holds: (pid: number) => Promise<boolean>): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      if (await holds(pid)) found.push(pid)
    } catch (error) {
      if (!isNotOurs(error)) throw error
    }
  }
  return found
}

/** It has ended meanwhile, or belongs to somebody else and so was not started by us. */
function isNotOurs(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(`${error.code}`)
}
