import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseTips, readTips } from './tips.ts'

const A = 'a'.repeat(40)
const B = 'b'.repeat(40)
let dir = ''
beforeAll(async () => {
  dir = await mkdtemp('/tmp/aio-tips-')
})
afterAll(async () => await rm(dir, { recursive: true, force: true }))

describe('tips', () => {
  it('are HEAD, branches and stashes', () => {
    const { tips, leftOut } = parseTips(`${A} refs/head\n${B} refs/heads/feature/x\n${A} refs/stash/0\n`)
    expect(Object.fromEntries(tips)).toEqual({ head: A, 'heads/feature/x': B, 'stash/0': A })
    expect(leftOut).toBe(0)
  })
  it.each([
    'heads/a..b',
    'heads/../../x',
    'heads/a b',
    'heads/a.lock',
    'heads/.a',
    'heads//a',
    'heads/a@{1}',
    'heads/',
    'tags/',
    'lost/x',
    'heads/a\ufffd',
    'remotes/o',
    'stash/x',
    'heads/a\u0001b',
    'heads/a~1',
  ])('%j is left out and counted', (ref) => {
    const { tips, leftOut } = parseTips(`${A} refs/${ref}\n`)
    expect(tips.size).toBe(0)
    expect(leftOut).toBe(1)
  })
  it('never yield a line for git that is not one reference and one commit', () => {
    const parts = [
      'heads/',
      'head',
      'stash/',
      '..',
      '\n',
      '\r',
      '\0',
      ' ',
      '~',
      '^',
      ':',
      '?',
      '*',
      '[',
      '\\',
      '@{',
      '.lock',
      '/',
      'a',
      'é',
      '\u202e',
    ]
    for (let seed = 1; seed < 20_000; seed++) {
      const ref = [0, 1, 2, 3].map((at) => parts[Math.floor(seed * 7.13 ** at) % parts.length]).join('')
      for (const [name, oid] of parseTips(`${A} refs/${ref}\n${ref} refs/head`).tips)
        expect(`update refs/sessions/x/${name} ${oid}`).toMatch(
          /^update refs\/sessions\/x\/[^\s~^:?*[\\]+ [0-9a-f]{40}$/u,
        )
    }
  })
  it('are parted from the pack wherever the stream is cut', async () => {
    const text = `${A} refs/head\n\nPACK\n\n\n\0\xff`
    for (const size of [1, 7, 48, 49, 50, 1000]) {
      const bytes = Buffer.from(text, 'latin1')
      const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
        bytes.subarray(index * size, (index + 1) * size),
      )
      const file = join(dir, `b${size}`)
      const { tips } = await readTips(Readable.from(parts), file)
      expect(tips.get('head')).toBe(A)
      expect(await readFile(file, 'latin1')).toBe('PACK\n\n\n\0\xff')
    }
  })
  it('of an empty repository are none', async () => {
    const { tips } = await readTips(Readable.from([Buffer.from('\npack')]), join(dir, 'empty'))
    expect(tips.size).toBe(0)
    expect(await readFile(join(dir, 'empty'), 'utf8')).toBe('pack')
  })
  it('are refused when there is no end of them', async () => {
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.from(`${A} refs/heads/x\n`.repeat(1000))
      })(),
    )
    await expect(readTips(endless, join(dir, 'endless'))).rejects.toMatchObject({ code: 'LIMIT' })
  })
})
