/** A call as it came in: checked as an envelope, its input not yet. */
export interface CallFrame {
  id: number | string
  method: 'query' | 'mutation' | 'subscription' | 'subscription.stop'
  jsonrpc: '2.0' | undefined
  /** Empty for a stop. */
  path: string
  /** With the `lastEventId` of the call, when it has one. */
  input: unknown
}

/** What one text frame held. */
export type Frame =
  | { type: 'ping' }
  | { type: 'pong' }
  | { type: 'params'; token: string | undefined }
  | { type: 'calls'; calls: CallFrame[] }
  | { type: 'bad'; reason: string }

const ID_MAX_CHARS = 64

/** Reads a text frame: parsed once, here, and handed on parsed. */
export function readFrame(text: string, callsMax: number): Frame {
  if (text === 'PING') return { type: 'ping' }
  if (text === 'PONG') return { type: 'pong' }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { type: 'bad', reason: 'INVALID_INPUT: a frame is not valid JSON' }
  }
  if (!Array.isArray(json)) return isParams(json) ? paramsOf(json) : callsOf([json])
  if (json.length > callsMax) return { type: 'bad', reason: `LIMIT: a frame has more than ${callsMax} calls` }
  return callsOf(json)
}

function callsOf(messages: unknown[]): Frame {
  const calls: CallFrame[] = []
  for (const raw of messages) {
    const call = readCall(raw)
    if (call === undefined) return { type: 'bad', reason: 'INVALID_INPUT: a frame is not a valid call' }
    calls.push(call)
  }
  return { type: 'calls', calls }
}

function readCall(raw: unknown): CallFrame | undefined {
  if (!isObject(raw)) return undefined
  const { id, method, jsonrpc, params } = raw
  if (typeof id !== 'number' && (typeof id !== 'string' || id.length > ID_MAX_CHARS)) return undefined
  if (jsonrpc !== undefined && jsonrpc !== '2.0') return undefined
  if (method === 'subscription.stop') return { id, method, jsonrpc, path: '', input: undefined }
  if (method !== 'query' && method !== 'mutation' && method !== 'subscription') return undefined
  if (!isObject(params)) return undefined
  const { path, input, lastEventId } = params
  if (typeof path !== 'string') return undefined
  if (lastEventId !== undefined && typeof lastEventId !== 'string') return undefined
  return { id, method, jsonrpc, path, input: lastEventId === undefined ? input : resumed(input, lastEventId) }
}

// As the stock adapter does it: an input that can hold no such field is left for the procedure to refuse.
function resumed(input: unknown, lastEventId: string): unknown {
  return isObject(input) ? { ...input, lastEventId } : (input ?? { lastEventId })
}

function isParams(json: unknown): json is Record<string, unknown> {
  return isObject(json) && json['method'] === 'connectionParams'
}

function paramsOf({ data }: Record<string, unknown>): Frame {
  if (data === null || data === undefined) return { type: 'params', token: undefined }
  if (!isObject(data)) return { type: 'bad', reason: 'INVALID_INPUT: connectionParams is not an object' }
  const { token } = data
  return { type: 'params', token: typeof token === 'string' ? token : undefined }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
