// An agent that speaks the Agent Client Protocol, asks its model once for every prompt, and passes the answer on as it
// comes. It does next to nothing itself, so that what is around it can be measured.
import { request } from 'node:http'
import { createInterface } from 'node:readline'

const send = (frame) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...frame })}\n`)
const url = new URL('/v1/messages', process.env.ANTHROPIC_BASE_URL)
const headers = { 'content-type': 'application/json', 'x-api-key': process.env.ANTHROPIC_API_KEY }

function prompt(id, blocks) {
  const body = JSON.stringify({
    ...{ model: 'bench', stream: true, max_tokens: 100 },
    messages: [{ role: 'user', content: blocks.map(({ text }) => ({ type: 'text', text })) }],
  })
  const call = request(url, { method: 'POST', headers }, (response) => {
    createInterface({ input: response }).on('line', (line) => {
      if (!line.startsWith('data: ')) return
      const { delta } = JSON.parse(line.slice('data: '.length))
      if (delta?.type !== 'text_delta') return
      const update = { sessionUpdate: 'agent_message_chunk', content: { type: 'text', text: delta.text } }
      send({ method: 'session/update', params: { sessionId: 'bench', update } })
    })
    response.on('end', () => send({ id, result: { stopReason: 'end_turn' } }))
  })
  call.on('error', (error) => send({ id, error: { code: -32_000, message: error.message } }))
  call.end(body)
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line)
  if (method === 'session/prompt') prompt(id, params.prompt)
  else if (method === 'initialize') send({ id, result: { protocolVersion: 1 } })
  else if (id !== undefined) send({ id, result: { sessionId: 'bench' } })
})
