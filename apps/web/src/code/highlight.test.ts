import { expect, test } from 'vitest'
import { highlight, languageOf } from './highlight.ts'

test('gives the lines of the code back, whatever the colours', () => {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the code
  const code = "const a = `one\ntwo ${'three'}`\n\n/* four\nfive */"
  const lines = highlight(code, 'typescript')
  expect(lines.map((line) => line.map(({ text }) => text).join('')).join('\n')).toBe(code)
  expect(lines[0]?.[0]).toEqual({ text: 'const', className: 'text-syn-keyword' })
  expect(lines[4]?.[0]?.className).toBe('text-syn-comment')
  expect(highlight('<script>', 'no-such-language')).toEqual([[{ text: '<script>', className: undefined }]])
})

test('knows a language by the name of its file', () => {
  expect(['src/a.tsx', 'b/Main.py', 'c.toml', 'README', 'd.unknown'].map(languageOf)).toEqual([
    'typescript',
    'py',
    'ini',
    undefined,
    undefined,
  ])
})
