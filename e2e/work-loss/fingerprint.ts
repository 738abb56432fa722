import { createHash } from 'node:crypto'
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** What each entry below a directory is, by its name as bytes in latin1: kind, mode, time, owner, content or target. */
export function fingerprint(directory: string): Map<string, string> {
  const entries = new Map<string, string>()
  const walk = (path: Buffer, name: string) => {
    const { mode, mtimeNs, uid, size } = lstatSync(path, { bigint: true })
    const kind = Number(mode >> 12n)
    const owner = uid % 65_536n
    const facts = [kind, (mode & 0o7777n).toString(8), owner]
    if (kind === 0o04) {
      entries.set(name, facts.join(' '))
      for (const entry of readdirSync(path, { encoding: 'buffer' }))
        walk(Buffer.concat([path, Buffer.from('/'), entry]), `${name}/${entry.toString('latin1')}`)
      return
    }
    // A link's mode means nothing, a pipe has no content.
    if (kind === 0o10) entries.set(name, [...facts, mtimeNs, size, hashOf(readFileSync(path))].join(' '))
    else if (kind === 0o12) entries.set(name, `link ${readlinkSync(path, 'buffer').toString('latin1')}`)
    else entries.set(name, facts.join(' '))
  }
  walk(Buffer.from(directory), '')
  return entries
}

/** The same without when a file was last changed. */
export function withoutTime(facts: string): string {
  return facts.replace(/^(8 \S+ \S+) \d+ /, '$1 ')
}

/** Names at which two fingerprints differ, with what is there in each. */
export function differences(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])]
    .filter((name) => before.get(name) !== after.get(name))
    .map((name) => `${JSON.stringify(name)}: ${before.get(name) ?? 'absent'} → ${after.get(name) ?? 'absent'}`)
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
