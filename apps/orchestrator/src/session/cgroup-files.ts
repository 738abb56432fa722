import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readOrUndefined } from './host-process.ts'

/** The text of a group's file; `undefined` when there is no such group or file. */
export function textAt(directory: string | undefined, file: string): string | undefined {
  return directory === undefined ? undefined : readOrUndefined(join(directory, file))?.trim()
}

/** A number of a group's file; NaN when there is none, infinite for "no limit". */
export function numberAt(directory: string | undefined, file: string): number {
  return toNumber(textAt(directory, file))
}

/** One line `key number` of a group's file; 0 when there is none. */
export function fieldAt(directory: string | undefined, file: string, key: string): number {
  return Number(new RegExp(`^${key} (\\d+)$`, 'm').exec(textAt(directory, file) ?? '')?.[1] ?? 0)
}

/** What a file of a group says: `max` and -1 stand for "no limit". */
export function toNumber(text: string | undefined): number {
  if (text === 'max' || text === '-1') return Number.POSITIVE_INFINITY
  return text === undefined || text === '' ? Number.NaN : Number(text)
}

/** Processes listed in a group's `cgroup.procs`. */
export function processesAt(directory: string | undefined): number[] {
  return (textAt(directory, 'cgroup.procs') ?? '')
    .split('\n')
    .filter((line) => line !== '')
    .map(Number)
}

/** Writes to a file of a group that is there; never makes one. */
export function writeAt(directory: string, file: string, value: string | number): void {
  writeFileSync(join(directory, file), String(value), { flag: 'r+' })
}

/** Tells whether an error says that there is nothing of that name. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
