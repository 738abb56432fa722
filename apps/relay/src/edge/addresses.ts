import { BlockList, isIP } from 'node:net'

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Tells whether a host name or address can only be reached from this machine. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (bare === 'localhost') return true
  const family = isIP(bare)
  if (family === 0) return false
  return loopback.check(bare, family === 4 ? 'ipv4' : 'ipv6')
}

/** An address in its one plain form: an IPv4 address that came in over IPv6 is shown as IPv4, brackets go. */
export function plainAddress(address: string): string {
  return address
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/^::ffff:(?=\d+\.)/i, '')
    .toLowerCase()
}
