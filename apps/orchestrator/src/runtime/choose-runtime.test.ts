import { describe, expect, it } from 'vitest'
import { chooseRuntime, describeChoice, type RuntimeFacts, runcProblems } from './choose-runtime.ts'

const good: RuntimeFacts = { isRoot: true, runcVersion: '1.3.3', bubblewrapVersion: '0.8.0', missingGroups: [] }
const full = { isolation: 'full' as const }
const degraded = { isolation: 'degraded' as const }

describe('which runtime sessions run in (I-7)', () => {
  it('is runc as root wherever that works, however little isolation is allowed', () => {
    for (const settings of [full, degraded]) {
      expect(chooseRuntime(good, settings)).toEqual({ name: 'runc', refusals: [] })
      expect(describeChoice(chooseRuntime(good, settings))).toEqual([])
    }
  })

  it.each<[Partial<RuntimeFacts>, RegExp]>([
    [{ runcVersion: undefined }, /not installed/],
    [{ missingGroups: ['memory'] }, /memory control group/],
    [{ runcVersion: '1.1.5+ds1' }, /1\.1\.5.*AIO_REQUIRE_PATCHED_RUNTIME/],
  ])('is bubblewrap only when runc cannot be used and an admin has allowed it: %o', (lack, why) => {
    const facts = { ...good, ...lack }
    const patched = { requirePatchedRuntime: true }
    expect(chooseRuntime(facts, { ...full, ...patched }).name).toBe('runc')
    expect(chooseRuntime({ ...facts, bubblewrapVersion: undefined }, { ...degraded, ...patched }).name).toBe('runc')
    const choice = chooseRuntime(facts, { ...degraded, ...patched })
    expect(choice).toMatchObject({ name: 'bubblewrap', refusals: [], why: expect.stringMatching(why) })
    expect(describeChoice(choice)).toEqual([expect.stringMatching(/bubblewrap.*memory and processor are not limited/)])
  })

  it('is the one an admin names, refused when it cannot be used or isolates less than allowed', () => {
    const named = { ...degraded, runtime: 'bubblewrap' as const }
    expect(chooseRuntime(good, named)).toMatchObject({ name: 'bubblewrap', refusals: [] })
    expect(chooseRuntime(good, { ...named, ...full }).refusals).toEqual([
      expect.stringMatching(/AIO_ISOLATION=degraded/),
    ])
    expect(chooseRuntime({ ...good, bubblewrapVersion: undefined }, named).refusals).toEqual([
      expect.stringMatching(/apt-get install -y bubblewrap/),
    ])
    expect(chooseRuntime(good, { ...degraded, runtime: 'runc' }).name).toBe('runc')
    expect(chooseRuntime({ ...good, runcVersion: undefined }, { ...degraded, runtime: 'runc' }).name).toBe('runc')
    expect(chooseRuntime(good, { ...degraded, runtime: 'runc-rootless' }).refusals).toEqual([
      expect.stringMatching(/needs root of the machine/),
    ])
  })

  it('never is one without root', () => {
    const user = { ...good, isRoot: false, hasSubordinateIds: true }
    expect(chooseRuntime(user, degraded).name).toBe('runc')
    expect(runcProblems(user, degraded)).toEqual(['the orchestrator is not root of this machine'])
    expect(chooseRuntime(user, { ...degraded, runtime: 'bubblewrap' }).refusals).toHaveLength(1)
  })
})
