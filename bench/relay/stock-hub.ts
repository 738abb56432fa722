// Baseline: the same hub in stock tRPC, as its documentation writes it. Run as a process of its own.
import { EventEmitter, on } from 'node:events'
import { orchestratorEventSchema } from '@ai-orchestration/protocol'
import { initTRPC, tracked } from '@trpc/server'
import { applyWSSHandler } from '@trpc/server/adapters/ws'
import { WebSocketServer } from 'ws'

const t = initTRPC.create()
const bus = new EventEmitter().setMaxListeners(0)
const waiting = new Map<string, (output: unknown) => void>()
const command = (value: unknown) => value as { commandId: string; output?: unknown } // a schema would only make it slower
let seq = 0

const router = t.router({
  publish: t.procedure.input(orchestratorEventSchema.array()).mutation(({ input }) => {
    for (const event of input) {
      seq += 1
      bus.emit('event', tracked(String(seq), event))
    }
    return {}
  }),
  events: t.procedure.subscription(async function* ({ signal }) {
    for await (const [event] of on(bus, 'event', { signal: signal ?? AbortSignal.abort() })) yield event
  }),
  run: t.procedure.input(command).mutation(
    ({ input }) =>
      new Promise((resolve) => {
        waiting.set(input.commandId, resolve)
        bus.emit('dispatch', input)
      }),
  ),
  answer: t.procedure.input(command).mutation(({ input }) => {
    waiting.get(input.commandId)?.(input.output)
    waiting.delete(input.commandId)
    return {}
  }),
  dispatches: t.procedure.subscription(async function* ({ signal }) {
    for await (const [request] of on(bus, 'dispatch', { signal: signal ?? AbortSignal.abort() })) yield request
  }),
})

const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false })
applyWSSHandler({ wss, router })
wss.on('listening', () => {
  const address = wss.address()
  if (typeof address === 'object' && address !== null) process.stdout.write(`ws://127.0.0.1:${address.port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
