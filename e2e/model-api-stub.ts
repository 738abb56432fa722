import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'

/** A call that the stub has answered. */
export interface StubCall {
  method: string
  path: string
  headers: IncomingHttpHeaders
  /** The body, when it was JSON. */
  body: unknown
  status: number
}

/** How the stub behaves. */
export interface StubOptions {
  /** Only calls with this credential are answered. */
  key?: string
  /** Waits between two pieces of a streamed answer, in milliseconds. */
  pauseMs?: number
}

/** A stand-in for the Anthropic Messages API on the loopback. */
export interface ModelApiStub extends AsyncDisposable {
  readonly url: string
  readonly calls: StubCall[]
}

interface Messages {
  model: string
  stream?: boolean
  messages: { role: string; content: string | { type: string; text?: string }[] }[]
}

function isMessages(body: unknown): body is Messages {
  return typeof body === 'object' && body !== null && 'messages' in body && Array.isArray(body.messages)
}

/**
 * Starts a stub that answers `Hello from the stub.`; a message with a line `RUNTOOL <command>` makes it ask for that
 * command by the tool `Bash`, one with `ASK <question>` for an answer of a person by the tool `AskUserQuestion`, and answer `Tool result seen.` to its result.
 */
export async function startModelApiStub(options: StubOptions = {}): Promise<ModelApiStub> {
  const calls: StubCall[] = []
  const server = createServer((request, response) => {
    answer(request, response, options, calls).catch((error: Error) => response.destroy(error))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the stub does not listen on a port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: StubOptions,
  calls: StubCall[],
): Promise<void> {
  const body = parseJson(await readBody(request))
  const { method = '', url = '', headers } = request
  const path = url.split('?')[0] ?? ''
  const reply = (status: number, content: unknown) => {
    calls.push({ method, path, headers, body, status })
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content))
  }
  const isAllowed =
    options.key === undefined ||
    headers['x-api-key'] === options.key ||
    headers.authorization === `Bearer ${options.key}`
  if (!isAllowed) return reply(401, errorOf('authentication_error', 'stub: wrong key'))
  if (path === '/v1/messages/count_tokens') return reply(200, { input_tokens: 10 })
  if (path === '/v1/models') return reply(200, { data: [{ id: 'stub-model', type: 'model' }], has_more: false })
  if (path !== '/v1/messages') return reply(404, errorOf('not_found_error', `stub: no ${path}`))
  if (!isMessages(body)) return reply(400, errorOf('invalid_request_error', 'stub: no valid messages'))
  const message = messageFor(body)
  if (body.stream !== true) return reply(200, message)
  calls.push({ method, path, headers, body, status: 200 })
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  for (const event of eventsOf(message)) {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    if (options.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, options.pauseMs))
  }
  response.end()
}

type Block = { type: 'text'; text: string } | { type: 'tool_use'; id: string; name: string; input: object }

function messageFor({ model, messages }: Messages) {
  const recent = messages.slice(-2)
  const blocks = recent.flatMap(({ content }) => (typeof content === 'string' ? [] : content))
  const text = recent
    .map(({ content }) => (typeof content === 'string' ? content : content.map((block) => block.text ?? '').join('\n')))
    .join('\n')
  const hasResult = blocks.some(({ type }) => type === 'tool_result')
  const command = /RUNTOOL\s+([^\n]+)/.exec(text)?.[1]
  const question = /ASK\s+([^\n"]+)/.exec(text)?.[1]
  const number = Math.random().toString(36).slice(2)
  const content: Block[] =
    command !== undefined && !hasResult
      ? [{ type: 'tool_use', id: `toolu_${number}`, name: 'Bash', input: { command, description: 'stub' } }]
      : question !== undefined && !hasResult
        ? [{ type: 'tool_use', id: `toolu_${number}`, name: 'AskUserQuestion', input: askOf(question) }]
        : [{ type: 'text', text: `Hello from the stub.${hasResult ? ' Tool result seen.' : ''}` }]
  const isTool = content[0]?.type === 'tool_use'
  return {
    ...{ id: `msg_${number}`, type: 'message', role: 'assistant', model, content },
    ...{ stop_reason: isTool ? 'tool_use' : 'end_turn', stop_sequence: null },
    usage: { input_tokens: 10, output_tokens: 5 },
  }
}

function askOf(question: string): object {
  const options = ['Red', 'Blue'].map((label) => ({ label, description: `The colour ${label}` }))
  return { questions: [{ question, header: 'Colour', options, multiSelect: false }] }
}

function* eventsOf(message: ReturnType<typeof messageFor>): Generator<{ type: string; [field: string]: unknown }> {
  const { content, stop_reason, usage } = message
  yield { type: 'message_start', message: { ...message, content: [], stop_reason: null } }
  for (const [index, block] of content.entries()) {
    const start = block.type === 'text' ? { ...block, text: '' } : { ...block, input: {} }
    yield { type: 'content_block_start', index, content_block: start }
    if (block.type === 'text')
      for (const text of block.text.split(/(?<= )/))
        yield { type: 'content_block_delta', index, delta: { type: 'text_delta', text } }
    else {
      const delta = { type: 'input_json_delta', partial_json: JSON.stringify(block.input) }
      yield { type: 'content_block_delta', index, delta }
    }
    yield { type: 'content_block_stop', index }
  }
  const { output_tokens } = usage
  yield { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens } }
  yield { type: 'message_stop' }
}

function errorOf(type: string, message: string): object {
  return { type: 'error', error: { type, message } }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString()
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
