import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { formatTarget, parseTarget, type Target } from './target.ts'

/** Blocks of the IANA special-purpose registry (RFC 6890) that no session may reach, with multicast and reserved ones. */
const REFUSED_V4 = `
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
  192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4`
/** Of IPv6 only global unicast may be reached; these are the parts of it that embed or lead to something else. */
const GLOBAL_V6 = '2000::/3'
const REFUSED_V6 = '2001::/23 2001:db8::/32 2002::/16 3fff::/20'

const refused = blockList(`${REFUSED_V4} ${REFUSED_V6}`)
const global = blockList(GLOBAL_V6)

/**
 * Addresses that sessions may reach. What is private, of this machine, or leads there in another form is refused whatever
 * a list says; only an admin's exact exceptions pass.
 */
export class Addresses {
  readonly #exceptions: ReadonlySet<string>
  readonly #ownAddresses: () => Iterable<string>

  /**
   * @param exceptions `address:port`, as EGRESS_ALLOW_ADDRESSES holds them.
   * @param ownAddresses the addresses of this machine now.
   */
  constructor(exceptions: Iterable<string>, ownAddresses: () => Iterable<string> = interfaceAddresses) {
    this.#exceptions = new Set(exceptions)
    this.#ownAddresses = ownAddresses
  }

  /** Tells whether an admin has named exactly this. */
  isException(target: Target): boolean {
    return target.isAddress && this.#exceptions.has(formatTarget(target))
  }

  /** Tells whether a session may connect to an address, given as the resolver gives it; `own` are refused besides. */
  allows(address: string, port: number, own: ReadonlySet<string> = new Set()): boolean {
    const plain = parseTarget(isIPv6(address) ? `[${address}]` : address, port)
    // A zone, such as fe80::1%eth0, is no address that could be allowed.
    if (plain === undefined || !plain.isAddress) return false
    if (this.isException(plain)) return true
    const { host } = plain
    const isGlobal = host.includes(':') ? isIn(global, host) && !isIn(refused, host) : !isIn(refused, host)
    return isGlobal && !own.has(host) && !new Set(this.#ownAddresses()).has(host)
  }
}

function* interfaceAddresses(): Generator<string> {
  for (const addresses of Object.values(networkInterfaces())) for (const { address } of addresses ?? []) yield address
}

function isIn(list: BlockList, address: string): boolean {
  return list.check(address, address.includes(':') ? 'ipv6' : 'ipv4')
}

function blockList(text: string): BlockList {
  const list = new BlockList()
  for (const block of text.trim().split(/\s+/)) {
    const [address = '', bits = ''] = block.split('/')
    list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
  }
  return list
}
