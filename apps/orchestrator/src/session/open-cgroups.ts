import { statfsSync } from 'node:fs'
import type { Cgroups } from './cgroups.ts'
import { CgroupsV1 } from './cgroups-v1.ts'
import { CgroupsV2 } from './cgroups-v2.ts'

/** CGROUP2_SUPER_MAGIC of linux/magic.h. */
export const CGROUP2_MAGIC = 0x63677270

/** The control groups of this machine, by the magic of what is mounted at their usual place. */
export function openCgroups(magic: number = statfsSync('/sys/fs/cgroup').type): Cgroups {
  return magic === CGROUP2_MAGIC ? new CgroupsV2() : new CgroupsV1()
}
