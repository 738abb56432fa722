import { expect, test } from 'vitest'
import { relayUrl } from './client-options.ts'

test.each([
  ['http://localhost:3000', 'ws://localhost:3000/ws'],
  ['https://relay.example/', 'wss://relay.example/ws'],
  ['wss://relay.example/aio/ws', 'wss://relay.example/aio/ws'],
])('%s', (given, url) => {
  expect(relayUrl(given)).toBe(url)
})

test('another scheme, or no URL, is refused', () => {
  expect(() => relayUrl('ftp://x')).toThrow(TypeError)
  expect(() => relayUrl('relay')).toThrow(TypeError)
})
