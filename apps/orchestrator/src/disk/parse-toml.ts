import { AioError, describeIssues } from '@ai-orchestration/protocol'
import { parse } from 'smol-toml'
import type { z } from 'zod'

/**
 * Reads the text of a TOML file by a schema.
 *
 * @throws AioError INVALID_INPUT that names the file and what is wrong with it.
 */
export function parseToml<S extends z.ZodType>(file: string, text: string, schema: S): z.output<S> {
  let data: unknown
  try {
    data = parse(text)
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
    throw new AioError('INVALID_INPUT', `${file} is not valid TOML: ${reason}`, { cause: error })
  }
  const parsed = schema.safeParse(data)
  if (!parsed.success) throw new AioError('INVALID_INPUT', `${file} is not valid. ${describeIssues(parsed.error)}`)
  return parsed.data
}
