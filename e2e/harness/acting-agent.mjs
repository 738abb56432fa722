// An agent that speaks the Agent Client Protocol and plays what its prompts name, so that the web app has something to
// show: a piece of work as agents do it, questions, hostile text, very much of everything.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

const SESSION = 'of-the-agent'
const send = (frame) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...frame })}\n`)
const update = (value) => send({ method: 'session/update', params: { sessionId: SESSION, update: value } })
const chunk = (text, messageId) => ({
  ...{ sessionUpdate: 'agent_message_chunk', content: { type: 'text', text } },
  ...(messageId && { messageId }),
})
const say = (text, messageId) => update(chunk(text, messageId))
const think = (text) => update({ sessionUpdate: 'agent_thought_chunk', content: { type: 'text', text } })
let calls = 0
let asked = 100
let turn
const waiting = new Map()

function tool(title, kind, more = {}) {
  const toolCallId = `call-${process.pid}-${++calls}`
  update({ sessionUpdate: 'tool_call', toolCallId, title, kind, status: 'completed', ...more })
  return toolCallId
}
const text = (value) => [{ type: 'content', content: { type: 'text', text: value } }]
const plan = (done) =>
  update({
    sessionUpdate: 'plan',
    entries: [
      'Refund model and migration',
      'Store refund and ledger reversal together',
      'Ignore a second delivery',
      'Apply the migration to the test database',
      'Cover duplicate, partial and missing refund',
    ].map((content, index) => ({
      ...{ content, priority: 'medium' },
      status: index < done ? 'completed' : index === done ? 'in_progress' : 'pending',
    })),
  })

async function permission(toolCall) {
  const id = asked++
  const answer = new Promise((resolve) => waiting.set(id, resolve))
  send({
    id,
    method: 'session/request_permission',
    params: {
      sessionId: SESSION,
      toolCall,
      options: [
        { optionId: 'yes', name: 'Yes', kind: 'allow_once' },
        { optionId: 'no', name: 'No', kind: 'reject_once' },
      ],
    },
  })
  return (await answer).outcome.optionId === 'yes'
}

const BEFORE = `export async function onRefund(event) {
  const existing = await db.refund.findUnique({
    where: { stripeId: refund.id },
  })
  if (existing) throw new ConflictError(refund.id)
}
`
const SCENES = {
  async store() {
    think('**Reading the handler first.** It may already deduplicate by event id.')
    for (const piece of 'The handler exists but only logs. I will add a `refunds` table, write the refund and its ledger reversal in one transaction, and ignore a second delivery.'.match(
      /.{1,12}/gsu,
    )) {
      say(piece, 'm1')
      await sleep(8)
    }
    for (const path of ['a', 'b', 'c', 'd', 'e', 'f'])
      tool(`Read ${path}.ts`, 'read', { locations: [{ path: `/project/x/${path}.ts` }] })
    tool('grep refund', 'search', { rawInput: { pattern: 'refund' } })
    tool('grep charge', 'search', { rawInput: { pattern: 'charge' } })
    plan(3)
    tool('Edit src/webhooks/refund.ts', 'edit', {
      locations: [{ path: '/project/x/src/webhooks/refund.ts', line: 25 }],
      content: [
        {
          ...{ type: 'diff', path: '/project/x/src/webhooks/refund.ts', oldText: BEFORE },
          newText: BEFORE.replace('throw new ConflictError(refund.id)', "return skip(event, 'already stored')"),
        },
      ],
    })
    tool('`pnpm --filter api typecheck`', 'execute', {
      rawInput: { command: 'pnpm --filter api typecheck' },
      content: text('```console\n$ tsc -p tsconfig.json\n\u001b[32mNo errors\u001b[0m\n```'),
    })
    const toolCallId = tool('pnpm --filter api exec prisma migrate deploy', 'execute', {
      rawInput: {
        ...{
          command: 'pnpm --filter api exec prisma migrate deploy',
          description: 'in apps/api, to apply 0042_refunds',
        },
      },
      status: 'pending',
    })
    const isAllowed = await permission({
      ...{ toolCallId, title: 'pnpm --filter api exec prisma migrate deploy', kind: 'execute' },
      rawInput: {
        command: 'pnpm --filter api exec prisma migrate deploy',
        description: 'in apps/api, to apply 0042_refunds',
      },
    })
    update({ sessionUpdate: 'tool_call_update', toolCallId, status: isAllowed ? 'completed' : 'failed' })
    plan(isAllowed ? 4 : 3)
    say(
      isAllowed
        ? '\n\nDone. What changed:\n\n| file | what |\n| --- | --- |\n| `refund.ts` | stores refunds |\n| `ledger.ts` | reverses them |\n\n```ts\nexport const skip = (event: Event, why: string) => log.info({ event, why })\n```\n\nSee [the guide](https://docs.example.com/refunds).'
        : 'I left the database alone.',
      'm2',
    )
  },
  async ask(rest) {
    const call = { toolCallId: `call-${++calls}`, title: rest, kind: 'execute', rawInput: { command: rest } }
    say((await permission(call)) ? `ran ${rest}` : `left ${rest} alone`)
  },
  async say(rest) {
    say(rest)
  },
  async choose(rest) {
    const id = asked++
    const answer = new Promise((resolve) => waiting.set(id, resolve))
    const color = { type: 'string', title: 'Colour', enum: ['Slate, as the rest of the app', 'Amber'] }
    send({
      id,
      method: 'elicitation/create',
      params: {
        ...{ sessionId: SESSION, mode: 'form', message: rest },
        requestedSchema: { type: 'object', properties: { color, color_custom: { type: 'string' } } },
      },
    })
    say(`answered ${JSON.stringify((await answer).content)}`)
  },
  async slowly(rest) {
    for (const word of rest.split(' ')) {
      say(`${word} `, 'slow')
      await sleep(60)
    }
  },
  async many(rest) {
    for (let index = 1; index <= Number(rest); index += 1) {
      if (index % 4 === 0) tool(`Run step ${index}`, 'execute', { rawInput: { command: `step ${index}` } })
      else say(`Entry ${index}, with \`code\` and **weight**.`, `many-${index}`)
      if (index % 500 === 0) await sleep(1)
    }
  },
  async hang() {
    say('still at it', 'hang')
    await new Promise(() => undefined)
  },
  async hostile() {
    const script = 'window.__ran = (window.__ran ?? 0) + 1'
    const attacks = [
      `<script>${script}</script>`,
      `<img src=x onerror="${script}">`,
      `<svg onload="${script}"><script>${script}</script></svg>`,
      `<iframe srcdoc="<script>parent.__ran = 1</script>"></iframe>`,
      `[click](javascript:${encodeURIComponent(script)})`,
      `[click](<java\nscript:${script}>)`,
      `<a href="javascript:${script}">raw</a>`,
      `[data](data:text/html,<script>${script}</script>)`,
      '![beacon](http://127.0.0.1:9/beacon.png)',
      '![svg](data:image/svg+xml,<svg onload="alert(1)"/>)',
      '[bank](https://bank.example@evil.example/)',
      `<style>body { display: none }</style>`,
      `<form action="http://127.0.0.1:9/"><button>go</button></form>`,
      '\u001b]52;c;ZXZpbA==\u0007\u001b[2J\u001b]0;title\u0007',
      'invoice\u202etxt.exe',
      '```html\n<script>alert(1)</script>\n```',
      '| <b>a</b> | b |\n| --- | --- |\n| <script>1</script> | x |',
      `[ref]: javascript:${script}\n\n[ref]`,
    ]
    say(attacks.join('\n\n'), 'hostile')
    think(attacks.join('\n'))
    for (const attack of attacks.slice(0, 6))
      tool(attack, 'execute', {
        ...{ rawInput: { command: attack }, content: text(attack), locations: [{ path: `/x/${attack}` }] },
      })
    tool('<b>edit</b>', 'edit', {
      content: [
        { type: 'diff', path: '/x/<script>.html', oldText: '<script>a()</script>', newText: attacks.join('\n') },
      ],
    })
    tool('long', 'execute', { content: text('x'.repeat(200_000)) })
    update({
      sessionUpdate: 'plan',
      entries: attacks.slice(0, 4).map((content) => ({ content, priority: 'high', status: 'pending' })),
    })
    say('y'.repeat(200_000), 'long')
    const title = `<img src=x onerror="${script}">`
    await permission({
      toolCallId: `call-${++calls}`,
      title,
      kind: 'execute',
      rawInput: { command: attacks.join('\n') },
    })
    say('survived', 'end')
  },
}

async function prompt(id, blocks) {
  const line = blocks
    .map((block) => block.text)
    .join('\n')
    .split('\n')
    .at(-1)
  turn = { id }
  const [word, ...rest] = line.split(' ')
  const scene = SCENES[word.toLowerCase()] ?? (async () => say(`You said: ${line}`))
  await scene(rest.join(' '))
  update({ sessionUpdate: 'usage_update', used: 186_402, size: 1_000_000 })
  if (turn?.id !== id) return
  turn = undefined
  send({ id, result: { stopReason: 'end_turn' } })
}

const answers = {
  initialize: () => ({
    protocolVersion: 1,
    agentCapabilities: { loadSession: false, sessionCapabilities: { resume: {} } },
  }),
  'session/new': () => ({
    sessionId: SESSION,
    modes: {
      currentModeId: 'auto',
      availableModes: [
        { id: 'auto', name: 'Run freely' },
        { id: 'ask', name: 'Ask before commands', description: 'Asks before it changes or runs anything' },
      ],
    },
  }),
  'session/resume': () => ({}),
  'session/set_mode': () => ({}),
}

createInterface({ input: process.stdin }).on('line', (line) => {
  if (line === '') return
  const { id, method, params, result } = JSON.parse(line)
  if (method === undefined) waiting.get(id)?.(result)
  else if (method === 'session/prompt') void prompt(id, params.prompt)
  else if (method === 'session/cancel') {
    if (turn !== undefined) send({ id: turn.id, result: { stopReason: 'cancelled' } })
    turn = undefined
  } else {
    send({ id, result: answers[method]() })
    if (method === 'session/new')
      update({
        sessionUpdate: 'available_commands_update',
        availableCommands: [
          { name: 'compact', description: 'Make the conversation shorter' },
          { name: 'review', description: 'Look over the changes' },
        ],
      })
  }
})
