import { Transform } from 'node:stream'
import { z } from 'zod'

/** What one answered call of the model used, as the provider says. */
export interface TurnUsage {
  model: string | undefined
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheWriteTokens: number
}

/** Bytes of one line or one whole JSON answer that are looked at; a longer one is passed on and not counted. */
const LOOK_BYTES_MAX = 16 * 1024 * 1024

const count = z.number().nonnegative().nullish()
const usageSchema = z.object({
  input_tokens: count,
  output_tokens: count,
  cache_read_input_tokens: count,
  cache_creation_input_tokens: count,
})
const messageSchema = z.object({
  type: z.literal('message'),
  model: z.string().max(200).optional(),
  usage: usageSchema,
})
const startSchema = z.object({ type: z.literal('message_start'), message: messageSchema })
const deltaSchema = z.object({ type: z.literal('message_delta'), usage: usageSchema })

/**
 * Passes an answer of the Messages API on as it comes, and reads along what it used: of a stream from `message_start` and
 * `message_delta`, whose numbers are totals so far, else from the JSON. No byte waits for the reading.
 *
 * @param onUsage called once, when the answer has ended or was broken off, if it said anything.
 */
export function readUsage(contentType: string | undefined, onUsage: (usage: TurnUsage) => void): Transform {
  const isStream = contentType?.startsWith('text/event-stream') === true
  const reader = isStream ? new StreamReader() : new JsonReader()
  const tell = () => {
    const usage = reader.take()
    if (usage !== undefined) onUsage(usage)
  }
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk)
      reader.read(chunk)
    },
    flush(done) {
      tell()
      done()
    },
    destroy(error, done) {
      tell()
      done(error)
    },
  })
}

class StreamReader {
  #rest: Buffer = Buffer.alloc(0)
  #isSkipping = false
  #usage: TurnUsage | undefined

  read(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let end = data.indexOf(10); end !== -1; end = data.indexOf(10)) {
      if (this.#isSkipping) this.#isSkipping = false
      else this.#line(data.subarray(0, end))
      data = data.subarray(end + 1)
    }
    if (data.length > LOOK_BYTES_MAX) this.#isSkipping = true
    this.#rest = this.#isSkipping ? Buffer.alloc(0) : Buffer.from(data)
  }

  take(): TurnUsage | undefined {
    const usage = this.#usage
    this.#usage = undefined
    return usage
  }

  #line(line: Buffer): void {
    // Nearly all lines are pieces of text, which need no parsing.
    if (!line.subarray(0, 5).equals(DATA) || !line.includes('"usage"')) return
    const event = parseJson(line.subarray(5).toString())
    const start = startSchema.safeParse(event)
    if (start.success) {
      this.#usage = usageOf(start.data.message.usage, start.data.message.model)
      return
    }
    const delta = deltaSchema.safeParse(event)
    if (!delta.success) return
    const before = this.#usage ?? usageOf({}, undefined)
    const { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = delta.data.usage
    this.#usage = {
      model: before.model,
      inputTokens: input_tokens ?? before.inputTokens,
      outputTokens: output_tokens ?? before.outputTokens,
      cacheReadTokens: cache_read_input_tokens ?? before.cacheReadTokens,
      cacheWriteTokens: cache_creation_input_tokens ?? before.cacheWriteTokens,
    }
  }
}

const DATA = Buffer.from('data:')

class JsonReader {
  #chunks: Buffer[] = []
  #bytes = 0

  read(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes <= LOOK_BYTES_MAX) this.#chunks.push(chunk)
    else this.#chunks = []
  }

  take(): TurnUsage | undefined {
    const message = messageSchema.safeParse(parseJson(Buffer.concat(this.#chunks).toString()))
    this.#chunks = []
    return message.success ? usageOf(message.data.usage, message.data.model) : undefined
  }
}

function usageOf(usage: z.output<typeof usageSchema> | Record<string, never>, model: string | undefined): TurnUsage {
  return {
    model,
    inputTokens: usage.input_tokens ?? 0,
    outputTokens: usage.output_tokens ?? 0,
    cacheReadTokens: usage.cache_read_input_tokens ?? 0,
    cacheWriteTokens: usage.cache_creation_input_tokens ?? 0,
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
