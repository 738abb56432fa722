import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  AioError,
  BUILT_IN_COMMANDS,
  commandNameSchema,
  describeIssues,
  plainValueSchema,
  type Registration,
} from '@ai-orchestration/protocol'
import { Ajv, type ValidateFunction } from 'ajv'
import { z } from 'zod'
import { parseToml } from '../disk/parse-toml.ts'
import type { CommandContext, CommandModule } from './define-command.ts'
import { runExecutable } from './executable.ts'

const jsonSchema = z.record(z.string(), z.unknown())

const entrySchema = z
  .strictObject({
    /** A zx module, relative to the file, that exports `command`. */
    module: z.string().min(1).optional(),
    /** Or an executable with its arguments; `{field}` stands for a field of the input. */
    run: z.array(z.string()).min(1).optional(),
    description: z.string().optional(),
    /** JSON Schema of a custom command's input and output. */
    input: jsonSchema.optional(),
    output: jsonSchema.optional(),
    /** The command is stopped after this many milliseconds. */
    timeoutMs: z.number().int().positive().default(600_000),
    /** How many may run at once. */
    concurrency: z.number().int().positive().default(4),
  })
  .refine((entry) => (entry.module === undefined) !== (entry.run === undefined), {
    error: 'needs either `module` or `run`, not both',
  })

const fileSchema = z.strictObject({ commands: z.record(commandNameSchema, entrySchema) })

/** A command that can be run. */
export interface RunnableCommand {
  name: string
  description: string | undefined
  isBuiltIn: boolean
  timeoutMs: number
  concurrency: number
  /** Checks the input. @throws AioError INVALID_INPUT. */
  checkInput(input: unknown): unknown
  /** Runs it and checks its output. @throws AioError INVALID_OUTPUT and whatever the command throws. */
  run(input: unknown, context: CommandContext): Promise<unknown>
}

/** The commands of `commands.toml`: those that are shipped, then those a user adds; a user's entry cannot replace a built-in one. */
export class CommandRegistry {
  readonly #commands = new Map<string, RunnableCommand>()

  /**
   * Reads the shipped file and, where it exists, the user's.
   *
   * @throws AioError INVALID_INPUT that names the file and entry that is wrong.
   */
  static async open(shippedFile: string, userFile: string): Promise<CommandRegistry> {
    const registry = new CommandRegistry()
    await registry.#addFile(shippedFile, resolve(dirname(shippedFile), '../commands'), true)
    await registry.#addFile(userFile, dirname(userFile), false)
    return registry
  }

  /** The names for the relay. */
  list(): Registration['commands'] {
    return [...this.#commands.values()].map(({ name, isBuiltIn, description }) => ({
      name,
      isBuiltIn,
      ...(description === undefined ? {} : { description }),
    }))
  }

  /** Finds a command. @throws AioError UNKNOWN_COMMAND. */
  require(name: string): RunnableCommand {
    const command = this.#commands.get(name)
    if (command === undefined)
      throw new AioError('UNKNOWN_COMMAND', `This orchestrator has no command ${name}. Its commands.toml lists them.`)
    return command
  }

  async #addFile(file: string, directory: string, isShipped: boolean): Promise<void> {
    let text: string
    try {
      text = await readFile(file, 'utf8')
    } catch (error) {
      if (!isShipped && error instanceof Error && 'code' in error && error.code === 'ENOENT') return
      throw new AioError('INVALID_INPUT', `${file} cannot be read.`, { cause: error })
    }
    for (const [name, entry] of Object.entries(parseToml(file, text, fileSchema).commands)) {
      if (!isShipped && name in BUILT_IN_COMMANDS)
        throw new AioError(
          'INVALID_INPUT',
          `${file}: ${name} is a built-in command and cannot be replaced. Give yours another name.`,
        )
      this.#commands.set(name, await toRunnable(file, name, entry, directory))
    }
  }
}

async function toRunnable(
  file: string,
  name: string,
  entry: z.output<typeof entrySchema>,
  directory: string,
): Promise<RunnableCommand> {
  const facts = {
    name,
    description: entry.description,
    isBuiltIn: name in BUILT_IN_COMMANDS,
    timeoutMs: entry.timeoutMs,
    concurrency: entry.concurrency,
  }
  const checks = compileChecks(file, name, entry)
  if (entry.run !== undefined) {
    const argv = entry.run
    return {
      ...facts,
      checkInput: checks.input,
      run: async (input, context) => checks.output(await runExecutable(argv, input, directory, context)),
    }
  }
  const module = await loadModule(file, name, resolve(directory, entry.module ?? ''))
  return {
    ...facts,
    checkInput: (input) => checks.input(checkWith(module.input, input, 'INVALID_INPUT', name)),
    run: async (input, context) =>
      checks.output(checkWith(module.output, await module.run(input, context), 'INVALID_OUTPUT', name)),
  }
}

async function loadModule(file: string, name: string, path: string): Promise<CommandModule> {
  const loaded: unknown = await import(pathToFileURL(path).href)
  const module = typeof loaded === 'object' && loaded !== null && 'command' in loaded ? loaded.command : undefined
  if (!isCommandModule(module))
    throw new AioError(
      'INVALID_INPUT',
      `${file}: the module of ${name}, ${path}, does not export \`command\` made by defineCommand.`,
    )
  return module
}

function isCommandModule(module: unknown): module is CommandModule {
  return (
    typeof module === 'object' &&
    module !== null &&
    'run' in module &&
    typeof module.run === 'function' &&
    'input' in module &&
    module.input instanceof z.ZodType &&
    'output' in module &&
    module.output instanceof z.ZodType
  )
}

function checkWith(schema: z.ZodType, value: unknown, code: 'INVALID_INPUT' | 'INVALID_OUTPUT', name: string): unknown {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const what = code === 'INVALID_INPUT' ? 'The input of' : 'What came out of'
  throw new AioError(code, `${what} ${name} is not valid. ${describeIssues(parsed.error)}`)
}

function compileChecks(file: string, name: string, entry: z.output<typeof entrySchema>) {
  const ajv = new Ajv({ allErrors: false, strict: false })
  const compile = (schema: Record<string, unknown> | undefined): ValidateFunction | undefined => {
    try {
      return schema === undefined ? undefined : ajv.compile(schema)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new AioError('INVALID_INPUT', `${file}: a JSON Schema of ${name} is not valid: ${reason}`, { cause: error })
    }
  }
  const apply = (check: ValidateFunction | undefined, value: unknown, code: 'INVALID_INPUT' | 'INVALID_OUTPUT') => {
    if (check === undefined || check(value)) return value
    throw new AioError(
      code,
      `${code === 'INVALID_INPUT' ? 'The input of' : 'What came out of'} ${name} is not valid: ${ajv.errorsText(check.errors)}.`,
    )
  }
  const input = compile(entry.input)
  const output = compile(entry.output)
  return {
    input: (value: unknown) => apply(input, value, 'INVALID_INPUT'),
    // The relay would not take what is nested too deep, and the command would have no end.
    output: (value: unknown) =>
      apply(output, checkWith(plainValueSchema, value, 'INVALID_OUTPUT', name), 'INVALID_OUTPUT'),
  }
}
