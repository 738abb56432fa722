import { expect, test } from 'vitest'
import { safeLink } from './safe-link.ts'

test('follows web pages and mail', () => {
  expect(safeLink('https://example.com/a?b#c')).toEqual({ href: 'https://example.com/a?b#c', shown: 'example.com' })
  expect(safeLink('mailto:a@example.com')).toEqual({ href: 'mailto:a@example.com', shown: 'a@example.com' })
  expect(safeLink('http://exämple.com')?.shown).toBe('xn--exmple-cua.com')
})

test.each([
  'javascript:alert(1)',
  ' JaVaScRiPt:alert(1)',
  'java\nscript:alert(1)',
  'data:text/html,<script>alert(1)</script>',
  'vbscript:x',
  'file:///etc/passwd',
  'blob:https://example.com/x',
  '/settings',
  '//example.com',
  '#top',
  'https://bank.example@evil.example/',
  '',
])('follows nothing else: %s', (href) => {
  expect(safeLink(href)).toBeUndefined()
})
