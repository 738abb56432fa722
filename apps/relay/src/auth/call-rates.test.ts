import type { Role } from '@ai-orchestration/protocol'
import { expect, test } from 'vitest'
import { CallRates, networkOf } from './call-rates.ts'

const someone = (tokenId: string, role: Role = 'operator') => ({ tokenId, name: tokenId, roles: [role] })

test('a token is let go on at its rate once its burst is used up, and says how long that takes', () => {
  let now = 0
  const rates = new CallRates({ perToken: 10, perAddress: 1_000 }, () => now)
  for (let call = 0; call < 20; call += 1) expect(rates.take(someone('a'), '10.0.0.1')).toBe(0)
  expect(rates.take(someone('a'), '10.0.0.1')).toBe(100)
  now += 50
  expect(rates.take(someone('a'), '10.0.0.1')).toBe(50)
  now += 50
  expect(rates.take(someone('a'), '10.0.0.1')).toBe(0)
  expect(rates.take(someone('b'), '10.0.0.1')).toBe(0)
})

test('many tokens of one address share its rate, and strangers there do not use it up', () => {
  const rates = new CallRates({ perToken: 10, perAddress: 20 }, () => 0)
  while (rates.take(undefined, '10.0.0.1') === 0);
  for (const name of ['a', 'b'])
    for (let call = 0; call < 20; call += 1) expect(rates.take(someone(name), '10.0.0.1')).toBe(0)
  expect(rates.take(someone('c'), '10.0.0.1')).toBeGreaterThan(0)
  expect(rates.take(someone('c'), '10.0.0.2')).toBe(0)
})

test('more calls at once than a bucket holds go through when it is full, and are paid for later', () => {
  let now = 0
  const rates = new CallRates({ perToken: 1, perAddress: 1_000 }, () => now)
  expect(rates.take(someone('a'), '10.0.0.1', 10)).toBe(0)
  now += 5_000
  expect(rates.take(someone('a'), '10.0.0.1')).toBeGreaterThan(0)
})

test.each([
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8:1:2::9', '2001:db8:1:2'],
  ['2001:db8::9', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
  ['10.0.0.1', '10.0.0.1'],
])('%s counts as %s', (address, network) => expect(networkOf(address)).toBe(network))
