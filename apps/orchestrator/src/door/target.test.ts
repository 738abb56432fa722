import { describe, expect, it } from 'vitest'
import { Addresses } from './addresses.ts'
import { formatTarget, matchesPattern, parseHostPattern, parseTarget } from './target.ts'

const spelled = (text: string) => {
  const target = parseTarget(text, 443)
  return target === undefined ? undefined : formatTarget(target)
}

describe('parseTarget', () => {
  it.each([
    ['host.example', 'host.example:443'],
    ['HOST.Example:8443', 'host.example:8443'],
    ['host.example.', 'host.example:443'],
    ['xn--bcher-kva.example:443', 'xn--bcher-kva.example:443'],
    ['_dmarc.host.example', '_dmarc.host.example:443'],
    ['192.0.2.7:80', '192.0.2.7:80'],
    ['[2001:DB8:0:0::1]:443', '[2001:db8::1]:443'],
    ['[::ffff:127.0.0.1]:80', '[::ffff:7f00:1]:80'],
  ])('reads %s as %s', (text, expected) => expect(spelled(text)).toBe(expected))

  it.each([
    ...['', ':443', 'host.example:', 'host.example:0', 'host.example:65536', 'host.example:0443', 'host.example:+443'],
    ...['host.example:443:443', 'host.example:443@evil.example', 'user@host.example', 'user:pw@host.example:443'],
    ...['host..example', '.host.example', 'host.example..', '-host.example', 'host-.example', 'host .example'],
    ...[
      'host.example/path',
      'host.example#a',
      'host.example?a',
      'host.example\\evil',
      'host%2eexample',
      'host.example%00',
    ],
    ...['bücher.example', 'host。example', 'ｈost.example', 'host\u00ad.example', 'host\n.example'],
    ...[
      '127.1',
      '127.0.1',
      '2130706433',
      '0x7f000001',
      '0x7f.0.0.1',
      '0177.0.0.1',
      '127.0.0.01',
      '127.0.0.1.',
      '1.2.3.4.5',
    ],
    ...[
      '256.1.1.1',
      '1.2.3',
      'a.0x1',
      'host.1',
      '::1',
      '[::1',
      '[fe80::1%eth0]',
      '[fe80::1%25eth0]:80',
      '[127.0.0.1]',
      '[::g]',
    ],
  ])('refuses %j', (text) => expect(parseTarget(text, 443)).toBeUndefined())
})

describe('patterns', () => {
  const fits = (pattern: string, target: string) => {
    const [parsed, wanted] = [parseHostPattern(pattern), parseTarget(target)]
    if (parsed === undefined || wanted === undefined) throw new Error('not valid')
    return matchesPattern(parsed, wanted)
  }
  it.each([
    ['host.example', 'host.example:443', true],
    ['host.example', 'host.example:80', true],
    ['host.example', 'host.example:22', false],
    ['host.example:22', 'host.example:22', true],
    ['host.example:22', 'host.example:443', false],
    ['Host.Example', 'HOST.example.:443', true],
    ['host.example', 'a.host.example:443', false],
    ['host.example', 'nothost.example:443', false],
    ['host.example', 'host.example.evil.example:443', false],
    ['*.host.example', 'a.host.example:443', true],
    ['*.host.example', 'a.b.host.example:443', true],
    ['*.host.example', 'host.example:443', false],
    ['*.host.example', 'evilhost.example:443', false],
    ['192.0.2.7:80', '192.0.2.7:80', true],
    ['[2001:db8::1]', '[2001:db8:0::1]:443', true],
  ])('%s names %s: %s', (pattern, target, expected) => expect(fits(pattern, target)).toBe(expected))
  it.each(['*', '*.com', '*.192.0.2.7', 'a.*.example', '**.host.example', 'https://host.example', 'host.example/', ''])(
    '%j is none',
    (text) => expect(parseHostPattern(text)).toBeUndefined(),
  )
})

describe('Addresses', () => {
  const addresses = new Addresses(['127.0.0.1:8080', '[fd00::1]:443'], () => ['8.8.4.4', '2606:4700::9'])
  it.each([
    ...[
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '127.0.0.1',
      '127.255.255.254',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
    ],
    ...['192.0.0.192', '192.168.1.1', '198.18.0.1', '224.0.0.1', '239.255.255.250', '240.0.0.1', '255.255.255.255'],
    ...[
      '::',
      '::1',
      'fe80::1',
      'fe80::1%lo',
      'fc00::1',
      'fd00:ec2::254',
      'ff02::1',
      '2001:db8::1',
      '2001::1',
      '2002:7f00:1::',
    ],
    ...[
      '::ffff:127.0.0.1',
      '::ffff:8.8.8.8',
      '::127.0.0.1',
      '64:ff9b::7f00:1',
      '64:ff9b:1::7f00:1',
      '100::1',
      '3fff::1',
    ],
    ...['8.8.4.4', '2606:4700::9', 'nonsense', ''],
  ])('refuses %s', (address) => expect(addresses.allows(address, 443)).toBe(false))
  it.each(['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1', '2a00:1450::1'])('lets %s pass', (address) =>
    expect(addresses.allows(address, 443)).toBe(true),
  )
  it('makes exceptions of exactly what an admin has named', () => {
    expect(addresses.allows('127.0.0.1', 8080)).toBe(true)
    expect(addresses.allows('127.0.0.1', 8081)).toBe(false)
    expect(addresses.allows('127.0.0.2', 8080)).toBe(false)
    expect(addresses.allows('fd00::1', 443)).toBe(true)
    expect(addresses.allows('8.8.8.8', 443, new Set(['8.8.8.8']))).toBe(false)
  })
})
