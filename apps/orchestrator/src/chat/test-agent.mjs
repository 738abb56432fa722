// An agent that speaks the Agent Client Protocol and does what its prompts say, for tests of the other side.
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const [, , diary, ...features] = process.argv
const send = (frame) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...frame })}\n`)
const update = (value) => send({ method: 'session/update', params: { sessionId: 'of-the-agent', update: value } })
const say = (text, messageId) =>
  update({ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text }, ...(messageId && { messageId }) })
let asked = 100
let turn
const waiting = new Map()
const permission = (title) =>
  new Promise((resolve) => {
    const id = asked++
    waiting.set(id, resolve)
    send({
      id,
      method: 'session/request_permission',
      params: {
        sessionId: 'of-the-agent',
        toolCall: { toolCallId: `call-${id}`, title, kind: 'execute', rawInput: { command: title } },
        options: [
          { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
          { optionId: 'no', name: 'No', kind: 'reject_once' },
        ],
      },
    })
  })

const form = (message) =>
  new Promise((resolve) => {
    const id = asked++
    waiting.set(id, resolve)
    const oneOf = ['red', 'blue'].map((value) => ({ const: value, title: value.toUpperCase() }))
    const properties = {
      question_0: { type: 'string', title: 'Colour', oneOf },
      question_0_custom: { type: 'string', title: 'Other' },
      sure: { type: 'boolean', title: 'Sure?' },
    }
    const requestedSchema = { type: 'object', properties }
    send({
      id,
      method: 'elicitation/create',
      params: { sessionId: 'of-the-agent', mode: 'form', message, requestedSchema },
    })
  })

async function prompt(id, blocks) {
  const text = blocks.map((block) => block.text).join('\n')
  appendFileSync(diary, `prompt ${JSON.stringify(text)}\n`)
  turn = { id }
  const [word, ...rest] = text.split('\n').at(-1).split(' ')
  if (word === 'say') for (const piece of rest.join(' ').match(/.{1,3}/gsu) ?? []) say(piece, 'm1')
  if (word === 'ask') {
    const outcome = await permission(rest.join(' '))
    appendFileSync(diary, `outcome ${JSON.stringify(outcome)}\n`)
    // The cancellation of the turn comes next and ends it.
    if (outcome.outcome.outcome === 'cancelled' && !features.includes('stubborn')) return
    say(`chosen ${outcome.outcome.optionId ?? outcome.outcome.outcome}`)
  }
  if (word === 'form') {
    const answer = await form(rest.join(' '))
    appendFileSync(diary, `form ${JSON.stringify(answer)}\n`)
    say(`form ${answer.action}`)
  }
  if (word === 'noise') process.stdout.write('this is no frame\n{"half": \n\n')
  if (word === 'flood') for (let index = 0; index < Number(rest[0]); index++) say('x'.repeat(1000), 'm2')
  if (word === 'die') process.exit(3)
  if (word === 'hang') return
  if (turn?.id !== id) return
  turn = undefined
  send({ id, result: { stopReason: 'end_turn' } })
}

const answers = {
  initialize: () => ({
    protocolVersion: 1,
    agentCapabilities: {
      loadSession: features.includes('load'),
      sessionCapabilities: features.includes('resume') ? { resume: {} } : {},
    },
  }),
  'session/new': () => ({
    sessionId: 'of-the-agent',
    modes: {
      currentModeId: 'auto',
      availableModes: [
        { id: 'auto', name: 'Auto' },
        { id: 'ask', name: 'Ask' },
      ],
    },
  }),
  'session/resume': () => ({}),
  'session/load': () => {
    say('an echo of the past')
    return {}
  },
  'session/set_mode': () => ({}),
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === '') return
  const { id, method, params, result } = JSON.parse(line)
  if (method === undefined) waiting.get(id)?.(result)
  else if (method === 'session/prompt') void prompt(id, params.prompt)
  else if (method === 'session/cancel') {
    if (turn !== undefined && !features.includes('stubborn')) send({ id: turn.id, result: { stopReason: 'cancelled' } })
    turn = undefined
  } else {
    appendFileSync(diary, `${method} ${JSON.stringify(params)}\n`)
    if (features.includes('locked') && method === 'session/new')
      send({ id, error: { code: -32000, message: 'Authentication required' } })
    else send({ id, result: answers[method]() })
  }
})
