import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** Numbers of the system calls that the profile names; they never change. From Linux's `asm/unistd_64.h`. */
const NUMBERS = new URL('../../config/syscalls-x86_64.json', import.meta.url)

const argumentSchema = z.object({
  index: z.number().int().min(0).max(5),
  value: z.number().int().min(0).max(0xffff_ffff),
  valueTwo: z.number().int().min(0).max(0xffff_ffff).optional(),
  op: z.enum(['SCMP_CMP_EQ', 'SCMP_CMP_MASKED_EQ']),
})
const actionSchema = z.enum(['SCMP_ACT_ALLOW', 'SCMP_ACT_ERRNO'])
const profileSchema = z.object({
  defaultAction: actionSchema,
  defaultErrnoRet: z.number().int().optional(),
  syscalls: z.array(
    z.object({
      names: z.array(z.string()),
      action: actionSchema,
      errnoRet: z.number().int().optional(),
      args: z.array(argumentSchema).nullish(),
    }),
  ),
})
type Profile = z.output<typeof profileSchema>
type Rule = Profile['syscalls'][number]

/** Instructions of classic BPF, from linux/bpf_common.h: load a word, jump if equal, and with a constant, answer. */
const LOAD = 0x20
const JUMP_IF_EQUAL = 0x15
const AND = 0x54
const RETURN = 0x06
/** Answers of a filter, from linux/seccomp.h. */
const RET_ALLOW = 0x7fff_0000
const RET_ERRNO = 0x0005_0000
const RET_KILL_PROCESS = 0x8000_0000
/** AUDIT_ARCH_X86_64 of linux/audit.h. */
const ARCHITECTURE = 0xc000_003e
/** Of `struct seccomp_data`: number, architecture, and the first argument; each argument has 8 bytes, low word first. */
const NUMBER_AT = 0
const ARCHITECTURE_AT = 4
const ARGUMENTS_AT = 16

const EPERM = 1

/** Typing on the terminal one sits at, and the console's own calls; from asm-generic/ioctls.h. */
const TERMINAL_INJECTIONS = [0x5412, 0x541c]

interface Instruction {
  code: number
  ifTrue?: number
  ifFalse?: number
  value: number
}

/**
 * Compiles the system call filter of a bundle to what the kernel takes (`struct sock_filter`), for a runtime that has no
 * libseccomp. Besides the profile, it refuses to type on the terminal: such a runtime gives a session the pane's own.
 *
 * @returns `undefined` on an architecture whose system calls are not known here.
 * @throws ZodError when the profile says something that is not known here.
 */
export function compileSeccompFilter(
  profile: unknown,
  architecture: NodeJS.Architecture = process.arch,
): Buffer | undefined {
  if (architecture !== 'x64') return undefined
  const { syscalls, defaultAction, defaultErrnoRet } = profileSchema.parse(profile)
  const numbers = z.record(z.string(), z.number()).parse(JSON.parse(readFileSync(NUMBERS, 'utf8')))
  const injections: Rule[] = TERMINAL_INJECTIONS.map((request) => ({
    names: ['ioctl'],
    action: 'SCMP_ACT_ERRNO',
    args: [{ index: 1, value: 0xffff_ffff, valueTwo: request, op: 'SCMP_CMP_MASKED_EQ' }],
  }))
  const program: Instruction[] = [
    { code: LOAD, value: ARCHITECTURE_AT },
    { code: JUMP_IF_EQUAL, ifTrue: 1, value: ARCHITECTURE },
    { code: RETURN, value: RET_KILL_PROCESS },
    { code: LOAD, value: NUMBER_AT },
    ...byNumber([...injections, ...syscalls], numbers).flatMap(([number, rules]) => ofCall(number, rules)),
    { code: RETURN, value: answer({ action: defaultAction, errnoRet: defaultErrnoRet }) },
  ]
  return encode(program)
}

/** The rules of each call, those with conditions first; names that this architecture lacks are passed over. */
function byNumber(rules: readonly Rule[], numbers: Readonly<Record<string, number>>): [number, Rule[]][] {
  const found = new Map<number, Rule[]>()
  for (const rule of rules)
    for (const name of rule.names) {
      const number = numbers[name]
      if (number !== undefined) found.set(number, [...(found.get(number) ?? []), rule])
    }
  const hasConditions = ({ args }: Rule) => Number((args ?? []).length > 0)
  return [...found].map(([number, list]) => [number, list.toSorted((a, b) => hasConditions(b) - hasConditions(a))])
}

/** Answers when it is this call and a rule of it holds; else goes on behind, with the number loaded again. */
function ofCall(number: number, rules: readonly Rule[]): Instruction[] {
  const body = rules.flatMap(ofRule)
  const isSure = (rules.at(-1)?.args ?? []).length === 0
  if (!isSure) body.push({ code: LOAD, value: NUMBER_AT })
  return [{ code: JUMP_IF_EQUAL, ifFalse: body.length, value: number }, ...body]
}

/** Each condition jumps over all that follows when it does not hold, so they are put together from the last. */
function ofRule(rule: Rule): Instruction[] {
  const body: Instruction[] = [{ code: RETURN, value: answer(rule) }]
  for (const argument of (rule.args ?? []).toReversed()) body.unshift(...ofArgument(argument, body.length))
  return body
}

function ofArgument({ index, op, value, valueTwo }: z.output<typeof argumentSchema>, over: number): Instruction[] {
  const low = ARGUMENTS_AT + 8 * index
  // A mask of 32 bits says nothing of the high word.
  if (op === 'SCMP_CMP_MASKED_EQ')
    return [
      { code: LOAD, value: low },
      { code: AND, value },
      { code: JUMP_IF_EQUAL, ifFalse: over, value: valueTwo ?? 0 },
    ]
  return [
    { code: LOAD, value: low + 4 },
    { code: JUMP_IF_EQUAL, ifFalse: over + 2, value: 0 },
    { code: LOAD, value: low },
    { code: JUMP_IF_EQUAL, ifFalse: over, value },
  ]
}

function answer({ action, errnoRet }: { action: Rule['action']; errnoRet?: number | undefined }): number {
  return action === 'SCMP_ACT_ALLOW' ? RET_ALLOW : RET_ERRNO + (errnoRet ?? EPERM)
}

function encode(program: readonly Instruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, { code, ifTrue = 0, ifFalse = 0, value }] of program.entries()) {
    const at = index * 8
    bytes.writeUInt16LE(code, at)
    // Throws where a jump is longer than the kernel's format knows.
    bytes.writeUInt8(ifTrue, at + 2)
    bytes.writeUInt8(ifFalse, at + 3)
    bytes.writeUInt32LE(value, at + 4)
  }
  return bytes
}
