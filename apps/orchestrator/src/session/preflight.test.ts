import { describe, expect, it } from 'vitest'
import { openCgroups } from './open-cgroups.ts'
import { type MachineFacts, machineFacts, refusals, refuseUnsafe } from './preflight.ts'

const good: MachineFacts = {
  runcVersion: '1.3.3',
  hasSeccomp: true,
  hasUserNamespaces: true,
  cgroups: { missing: [] },
}
const full = { isolation: 'full' as const }

describe('I-19 a machine that lacks something', () => {
  it('is not refused when it lacks nothing', () => {
    expect(refusals(good, full)).toEqual([])
    expect(() => refuseUnsafe([])).not.toThrow()
    expect(refusals(machineFacts('1.1.5', openCgroups()), full)).toEqual([])
  })
  it.each<[Partial<MachineFacts>, RegExp]>([
    [{ hasSeccomp: false }, /seccomp/],
    [{ hasUserNamespaces: false }, /user namespaces/],
    [{ cgroups: { missing: ['pids'] } }, /no pids control group/],
    [{ runcVersion: undefined }, /runc was not found/],
  ])('refuses with the reason: %o', (lack, reason) => {
    expect(refusals({ ...good, ...lack }, full)).toEqual([expect.stringMatching(reason)])
  })
  it('may do without it only where an admin has said so; without a runtime it never can', () => {
    const poor = { ...good, hasSeccomp: false, cgroups: { missing: ['memory'] } }
    expect(refusals(poor, { isolation: 'degraded' })).toEqual([])
    expect(refusals({ ...poor, runcVersion: undefined }, { isolation: 'degraded' })).toHaveLength(1)
  })
  it('runs an old runtime unless an admin has forbidden it (I-8)', () => {
    const old = { ...good, runcVersion: '1.1.5+ds1' }
    expect(refusals(old, full)).toEqual([])
    expect(refusals(old, { ...full, requirePatchedRuntime: true })).toEqual([expect.stringMatching(/1\.1\.5.*1\.2\.8/)])
    expect(refusals(good, { ...full, requirePatchedRuntime: true })).toEqual([])
    expect(refusals(old, { isolation: 'degraded', requirePatchedRuntime: true })).toHaveLength(1)
  })
  it('says it as an error with what to do', () => {
    expect(() => refuseUnsafe(['there is no x'])).toThrow(/No session can be started.*there is no x.*doctor/)
  })
})
