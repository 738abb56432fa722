import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cloneUrlSchema, parseCloneUrl } from './clone-url.ts'
import { HOSTILE_URLS } from './hostile.ts'

describe('parseCloneUrl', () => {
  it.each([
    ['https://host.example/a/My.Repo.git', 'https', 'my-repo'],
    ['https://user:token@host.example/a/b', 'https', 'b'],
    ['ssh://git@host.example:2222/a/b.git', 'ssh', 'b'],
    ['git@host.example:a/b.git', 'scp', 'b'],
    ['host.example:b', 'scp', 'b'],
    ['/srv/git/thing', 'local', 'thing'],
    ['/srv/git/with space/x.git/', 'local', 'x'],
    ['file:///srv/git/thing', 'local', 'thing'],
  ] as const)('reads %s as %s', (text, kind, inferredName) => {
    expect(parseCloneUrl(text)).toMatchObject({ kind, inferredName })
  })
  it('keeps the secret for git and out of sight', () => {
    const url = parseCloneUrl('https://user:hunter2@host.example/a/b')
    expect(url.url).toContain('hunter2')
    expect(url.redacted).toBe('https://host.example/a/b')
  })
  it.each(HOSTILE_URLS.map((url) => [url]))('refuses %j with a reason', (text) => {
    expect(() => parseCloneUrl(text)).toThrow(/[A-Z].*\.$/s)
    expect(cloneUrlSchema.safeParse(text).success).toBe(false)
  })
  it('never lets through what git would take for an option or a helper', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        let url: string
        try {
          url = parseCloneUrl(text).url
        } catch (error) {
          return error instanceof TypeError
        }
        return !url.startsWith('-') && !/^[a-z]+::/i.test(url) && !url.includes('\0')
      }),
      { numRuns: 5_000 },
    )
  })
})
