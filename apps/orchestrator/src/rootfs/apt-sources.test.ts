import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { aptSources } from './apt-sources.ts'

let apt: string
beforeEach(async () => {
  apt = await mkdtemp(join(tmpdir(), 'aio-apt-'))
})
afterEach(async () => await rm(apt, { recursive: true }))

it('finds sources of both formats, and leaves out files without any and files that apt does not read', async () => {
  const files = {
    'sources.list': '# deb http://old.example.org/debian bookworm main\n',
    'sources.list.d/b.sources': 'Types: deb deb-src\nURIs: http://deb.example.org/debian\nSuites: bookworm\n',
    'sources.list.d/a.list': 'deb [signed-by=/key] http://deb.example.org/debian bookworm main\n',
    'sources.list.d/c.list.save': 'deb http://deb.example.org/debian bookworm main\n',
    'sources.list.d/d.list': 'deb-src http://deb.example.org/debian bookworm main\n',
    'sources.list.d/e.sources': '# Types: deb\n',
  }
  await mkdir(join(apt, 'sources.list.d'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(apt, name), text)
  expect(await aptSources(apt)).toEqual(['a.list', 'b.sources'].map((name) => join(apt, 'sources.list.d', name)))
})

it('says so when there is none', async () => {
  await expect(aptSources(apt)).rejects.toMatchObject({ code: 'EXEC_ERROR', message: expect.stringContaining(apt) })
})
