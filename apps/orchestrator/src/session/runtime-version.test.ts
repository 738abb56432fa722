import { describe, expect, it } from 'vitest'
import { describeRuntime, isPatched } from './runtime-version.ts'

describe('I-8 runtime version', () => {
  it.each(['1.2.8', '1.2.9', '1.3.3', '1.3.10', '1.4.0-rc.3', '1.4.0', '1.4.1', '1.5.0-rc.1', '2.0.0'])(
    '%s carries the fixes',
    (version) => {
      expect(isPatched(version)).toBe(true)
      expect(describeRuntime(version)).toEqual([])
    },
  )
  it.each(['1.1.5+ds1', '1.1.15', '1.2.7', '1.2.8-rc.1', '1.3.2', '1.3.0-rc.1', '1.4.0-rc.2', '1.0.0', 'devel'])(
    '%s is warned about, with what to install',
    (version) => {
      expect(isPatched(version)).toBe(false)
      expect(describeRuntime(version)).toEqual([expect.stringContaining('1.2.8')])
    },
  )
  it('says so when there is none', () => {
    expect(describeRuntime(undefined)).toEqual([expect.stringContaining('apt-get install')])
  })
})
