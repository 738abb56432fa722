import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { loadSeccompProfile } from '../session/seccomp.ts'
import { compileSeccompFilter } from './seccomp-filter.ts'

const numbers = z
  .record(z.string(), z.number())
  .parse(JSON.parse(readFileSync(new URL('../../config/syscalls-x86_64.json', import.meta.url), 'utf8')))
const filter = compileSeccompFilter(loadSeccompProfile('x64'), 'x64') ?? Buffer.alloc(0)
const ALLOW = 0x7fff_0000
const errno = (number: number) => 0x0005_0000 + number
const [EPERM, ENOSYS] = [1, 38]

/** What the kernel would answer: the four instructions that the compiler uses. */
function ask(name: string, args: readonly bigint[] = [], architecture = 0xc000_003e): number {
  const data = Buffer.alloc(64)
  data.writeUInt32LE(numbers[name] ?? 0x3fff_ffff, 0)
  data.writeUInt32LE(architecture, 4)
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index)
  let accumulator = 0
  for (let at = 0; ; at += 8) {
    const [code, value] = [filter.readUInt16LE(at), filter.readUInt32LE(at + 4)]
    if (code === 0x20) accumulator = data.readUInt32LE(value)
    else if (code === 0x54) accumulator = (accumulator & value) >>> 0
    else if (code === 0x15) at += 8 * filter.readUInt8(at + (accumulator === value ? 2 : 3))
    else if (code === 0x06) return value
    else throw new Error(`Instruction ${code} is not known.`)
  }
}

describe('the compiled system call filter', () => {
  it('fits into what the kernel takes', () => {
    expect(filter.length / 8).toBeLessThan(4_096)
  })

  it('answers as the profile says, for every call without conditions', () => {
    const { syscalls } = z
      .object({
        syscalls: z.array(
          z.object({
            names: z.array(z.string()),
            action: z.string(),
            errnoRet: z.number().optional(),
            args: z.array(z.unknown()).nullish(),
          }),
        ),
      })
      .parse(loadSeccompProfile('x64'))
    for (const { names, action, errnoRet, args } of syscalls.filter((rule) => (rule.args ?? []).length === 0))
      for (const name of names.filter((each) => numbers[each] !== undefined)) {
        expect(ask(name), `${name} ${args}`).toBe(action === 'SCMP_ACT_ALLOW' ? ALLOW : errno(errnoRet ?? EPERM))
      }
    expect(ask('a call nobody knows')).toBe(errno(ENOSYS))
  })

  it.each<[string, bigint[], number]>([
    ['clone', [0x0001_1200n], ALLOW],
    ['clone', [0x1000_0000n], errno(EPERM)],
    ['clone', [0x4000_0011n], errno(EPERM)],
    ['clone3', [0n], errno(ENOSYS)],
    ['unshare', [0n], errno(EPERM)],
    ['personality', [0n], ALLOW],
    ['personality', [8n], ALLOW],
    ['personality', [0xffff_ffffn], ALLOW],
    ['personality', [0x1_0000_0000n], errno(ENOSYS)],
    ['personality', [0x40000n], errno(ENOSYS)],
    ['ioctl', [0n, 0x5413n], ALLOW],
    ['ioctl', [0n, 0x5412n], errno(EPERM)],
    ['ioctl', [0n, 0xffff_ffff_0000_5412n], errno(EPERM)],
    ['ioctl', [0n, 0x541cn], errno(EPERM)],
  ])('looks at arguments: %s %o', (name, args, expected) => {
    expect(ask(name, args)).toBe(expected)
  })

  it('ends a process that calls by the numbers of another architecture', () => {
    expect(ask('read', [], 0x4000_0003)).toBe(0x8000_0000)
  })

  it('does not exist where the numbers are not known', () => {
    expect(compileSeccompFilter(loadSeccompProfile('arm64'), 'arm64')).toBeUndefined()
  })
})
