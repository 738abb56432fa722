import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HOSTILE_NAMES } from './hostile.ts'
import { parseSessionId, sessionIdOf, sessionIdSchema } from './ids.ts'
import { isSlug, slugSchema, toSlug } from './slug.ts'

const slugs = fc.stringMatching(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/)

describe('slugSchema', () => {
  it.each(HOSTILE_NAMES.map((name) => [name]))('refuses %j and says what to use', (name) => {
    const result = slugSchema.safeParse(name)
    expect(result.success).toBe(false)
    expect(result.error?.issues[0]?.message).toMatch(/lowercase letters, digits and dashes/)
  })
  it.each(['a', '0', 'login-form', 'a'.repeat(40), 'a--b', '1-2-3'])('takes %j', (name) => {
    expect(slugSchema.parse(name)).toBe(name)
  })
})

describe('toSlug', () => {
  it('makes a valid name of anything, or none', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const slug = toSlug(text)
        return slug === undefined || isSlug(slug)
      }),
    )
  })
  it('keeps what is a name already', () => {
    fc.assert(fc.property(slugs, (slug) => toSlug(slug) === slug))
  })
  it.each([
    ['My Repo', 'my-repo'],
    ['Crème brûlée!', 'creme-brulee'],
    ['  --x--  ', 'x'],
    ['日本語', undefined],
    [`${'a'.repeat(39)}-b`, 'a'.repeat(39)],
  ])('%j → %j', (text, slug) => expect(toSlug(text)).toBe(slug))
})

describe('session ids', () => {
  it('are two names and nothing else', () => {
    fc.assert(
      fc.property(slugs, slugs, (projectId, name) => {
        expect(parseSessionId(sessionIdOf(projectId, name))).toEqual({ projectId, name })
      }),
    )
  })
  it.each(['a', 'a_', '_a', 'a_b_c', 'A_b', 'a_b ', '../a_b', 'a_b\n', 'a__b'])('%j is none', (text) => {
    expect(sessionIdSchema.safeParse(text).success).toBe(false)
  })
})
