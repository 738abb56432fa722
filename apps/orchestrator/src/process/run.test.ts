import { describe, expect, it } from 'vitest'
import { cleanEnv, redactUrls, run } from './run.ts'

describe('run', () => {
  it('hands arguments over as they are, with no shell in between', async () => {
    const hostile = ['$(touch /tmp/x)', '`id`', 'a b', "'", '"', ';ls', '*', '\n', '']
    const { stdout } = await run('printf', ['%s\\0', ...hostile])
    expect(stdout.split('\0').slice(0, -1)).toEqual(hostile)
  })
  it('refuses a NUL instead of cutting the argument', async () => {
    await expect(run('printf', ['%s', 'a\0b'])).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
  it('throws the last lines of stderr, without credentials', async () => {
    const failing = run('sh', ['-c', 'echo at https://user:secret@host/x >&2; exit 3'])
    await expect(failing).rejects.toMatchObject({ code: 'EXEC_ERROR', message: expect.stringContaining('status 3') })
    await expect(failing).rejects.not.toMatchObject({ message: expect.stringContaining('secret') })
  })
  it('says so when the program is missing', async () => {
    await expect(run('no-such-program', [])).rejects.toMatchObject({
      message: expect.stringContaining('not installed'),
    })
  })
  it('stops a program that takes too long', async () => {
    await expect(run('sleep', ['30'], { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' })
  })
  it('feeds stdin, and gives none when nothing is given', async () => {
    expect((await run('cat', [], { input: 'hello' })).stdout).toBe('hello')
    expect((await run('cat', [])).stdout).toBe('')
  })
  it('reports lines of stderr as they come', async () => {
    const lines: string[] = []
    await run('sh', ['-c', 'printf "10%%\\r20%%\\ndone\\n" >&2'], { onStderrLine: (line) => lines.push(line) })
    expect(lines).toEqual(['10%', '20%', 'done'])
  })
})

describe('what leaves the process', () => {
  it('keeps secrets out of the environment of children', () => {
    process.env['ANTHROPIC_API_KEY'] = 'sk-secret'
    expect(cleanEnv()).not.toHaveProperty('ANTHROPIC_API_KEY')
    delete process.env['ANTHROPIC_API_KEY']
  })
  it('redacts credentials in URLs', () => {
    expect(redactUrls('fatal: https://u:p@host/r and ssh://git@host/r')).toBe('fatal: https://host/r and ssh://host/r')
  })
})
