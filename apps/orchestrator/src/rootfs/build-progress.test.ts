import { expect, it } from 'vitest'
import { BuildProgress } from './build-progress.ts'

/** What mmdebstrap 1.3.5 said, shortened. */
const SAID = `
I: chroot architecture amd64 is equal to the host's architecture
I: running apt-get update...
Get:1 http://deb.example.org/debian bookworm InRelease [151 kB]
Reading package lists...
I: downloading packages with apt...
The following NEW packages will be installed:
0 upgraded, 2 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://deb.example.org/debian bookworm/main amd64 dash amd64 0.5.12-2 [97.2 kB]
Get:2 http://deb.example.org/debian bookworm/main amd64 libc6 amd64 2.36-9 [2758 kB]
I: extracting archives...
I: installing essential packages...
Selecting previously unselected package libc6:amd64.
Preparing to unpack .../libc6_2.36-9+deb12u14_amd64.deb ...
Use of uninitialized value in concatenation (.) or string at Config.pm line 22.
Unpacking libc6:amd64 (2.36-9+deb12u14) ...
Unpacking dash (0.5.12-2) ...
Setting up libc6:amd64 (2.36-9+deb12u14) ...
Setting up dash (0.5.12-2) ...
I: installing remaining packages inside the chroot...
0 upgraded, 1 newly installed, 0 to remove and 0 not upgraded.
Get:1 http://deb.example.org/debian bookworm/main amd64 git amd64 1:2.39.5 [7264 kB]
Unpacking git (1:2.39.5-0+deb12u2) ...
Setting up git (1:2.39.5-0+deb12u2) ...
I: cleaning package lists and apt cache...
I: success in 27.4260 seconds
`

const read = (text: string) => {
  const progress = new BuildProgress()
  return text.split('\n').flatMap((line) => progress.read(line) ?? [])
}

it('goes from nothing to nearly all, never back, with each package by name', () => {
  const seen = read(SAID)
  const percents = seen.map(({ percent }) => percent)
  expect(percents).toEqual(percents.toSorted((a, b) => a - b))
  expect(percents[0]).toBeLessThan(5)
  expect(percents.at(-1)).toBeGreaterThan(90)
  expect(seen).toContainEqual({ percent: 94, message: 'Installing git and the other tools: git' })
  expect(seen.map(({ message }) => message)).toContain('Installing the base system: libc6')
})

it('says nothing about lines that mean nothing, and stays in its phase when more comes than was announced', () => {
  expect(read('Reading package lists...\nUnpacking libc6 (1) ...\nSetting up libc6 (1) ...')).toEqual([])
  const more = read(`${SAID.split('I: extracting')[0]}${'Get:3 http://deb.example.org/x\n'.repeat(50)}`)
  expect(Math.max(...more.map(({ percent }) => percent))).toBe(18)
})
