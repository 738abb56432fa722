import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { BUILT_IN_COMMANDS, refSchema } from './commands.ts'
import { AioError, toAioError } from './errors.ts'

describe('AioError', () => {
  it('survives the wire', () => {
    const error = new AioError('WORK_AT_RISK', 'Two files.', { details: { modified: ['a'] } })
    const back = AioError.fromWire(JSON.parse(JSON.stringify(error.toWire())))
    expect(back).toMatchObject({ code: 'WORK_AT_RISK', message: 'Two files.', details: { modified: ['a'] } })
  })
  it('turns what zod throws into a sentence per field', () => {
    const parsed = BUILT_IN_COMMANDS.create_session.input.safeParse({ projectId: 'A B', name: 'ok', extra: 1 })
    const error = toAioError(parsed.error)
    expect(error.code).toBe('INVALID_INPUT')
    expect(error.message).toMatch(/projectId: .*lowercase/)
    expect(error.message).toMatch(/extra/)
  })
  it('keeps a foreign error for the log and calls it INTERNAL', () => {
    const cause = new RangeError('x')
    expect(toAioError(cause)).toMatchObject({ code: 'INTERNAL', cause })
    expect(toAioError('text')).toMatchObject({ code: 'INTERNAL', message: 'text' })
    expect(toAioError(new z.ZodError([]))).toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('refSchema', () => {
  it.each(['main', 'v1.2', 'feature/login', 'a1b2c3d', 'origin/main', 'release-1.x'])('takes %s', (ref) => {
    expect(refSchema.safeParse(ref).success).toBe(true)
  })
  it.each([
    '',
    '-x',
    '--all',
    'a..b',
    'a b',
    'a\0',
    'a~1',
    'a^',
    'a:b',
    '@{-1}',
    'a@{1}',
    'a.lock',
    'a/',
    '.a',
    'a/.b',
    'a//b',
    '$(x)',
  ])('refuses %j', (ref) => expect(refSchema.safeParse(ref).success).toBe(false))
})
