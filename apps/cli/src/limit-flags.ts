import type { LimitsRequest } from '@ai-orchestration/protocol'

/** Limits as options: `--memory` and `--disk` in MiB, or with a unit such as 4G. */
export interface LimitFlags {
  memory?: number
  cpus?: number
  pids?: number
  disk?: number
}

/** What was asked for; `undefined` when nothing was. */
export function limitsOf({ memory, cpus, pids, disk }: LimitFlags): LimitsRequest | undefined {
  const limits: LimitsRequest = {
    ...(memory === undefined ? {} : { memoryMb: memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(pids === undefined ? {} : { pids }),
    ...(disk === undefined ? {} : { diskMb: disk }),
  }
  return Object.keys(limits).length === 0 ? undefined : limits
}
