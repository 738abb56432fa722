import type { TRPCClientError, TRPCRequestOptions, TRPCUntypedClient } from '@trpc/client'
import type { Client, ClientMethods } from './client.ts'
import { asAioError } from './client-error.ts'
import type { AppRouter } from './router.ts'

/** Callbacks of a subscription, as tRPC names them. */
interface Callbacks {
  onStarted?: (opts: { context: Record<string, unknown> | undefined }) => void
  onData?: (value: unknown) => void
  onError?: (error: TRPCClientError<AppRouter>) => void
  onStopped?: () => void
  onComplete?: () => void
}

/**
 * Makes the typed client: any path of names ending in `query`, `mutate` or `subscribe` is a call. `events`,
 * `terminal` and `chat` are both a method and a folder of procedures, so one node serves both.
 */
export function procedureProxy(untyped: TRPCUntypedClient<AppRouter>, methods: ClientMethods): Client {
  const node = (path: string[]): unknown =>
    new Proxy(() => undefined, {
      get(_target, key) {
        const isRoot = path.length === 0
        if (isRoot && key in methods && !isBoth(key)) return Reflect.get(methods, key)
        // A client is not a promise, although `await` asks.
        if (typeof key !== 'string' || key === 'then') return undefined
        return node([...path, key])
      },
      apply(_target, _self, args: unknown[]) {
        const [only] = path
        if (path.length === 1 && isBoth(only)) return Reflect.apply(methods[only], methods, args)
        return call(untyped, path, args)
      },
    })
  // The one place where a type is asserted: the proxy answers every path, and the router's type says which exist.
  return node([]) as Client
}

const BOTH = ['events', 'terminal', 'chat'] as const

function isBoth(key: string | symbol | undefined): key is (typeof BOTH)[number] {
  return BOTH.some((name) => name === key)
}

function call(untyped: TRPCUntypedClient<AppRouter>, path: string[], [input, given]: unknown[]): unknown {
  const name = path.slice(0, -1).join('.')
  const options = typeof given === 'object' && given !== null ? given : {}
  const kind = path.at(-1)
  switch (kind) {
    case 'query':
    case 'mutate':
      return request(untyped, { kind, name, input, options })
    case 'subscribe':
      return subscription(untyped, name, input, options)
    default:
      throw new TypeError(`${path.join('.')} is not a function. Call a procedure with query, mutate or subscribe.`)
  }
}

interface Request {
  kind: 'query' | 'mutate'
  name: string
  input: unknown
  options: TRPCRequestOptions
}

async function request(
  untyped: TRPCUntypedClient<AppRouter>,
  { kind, name, input, options }: Request,
): Promise<unknown> {
  try {
    return await (kind === 'query' ? untyped.query(name, input, options) : untyped.mutation(name, input, options))
  } catch (thrown) {
    options.signal?.throwIfAborted()
    throw asAioError(thrown)
  }
}

function subscription(
  untyped: TRPCUntypedClient<AppRouter>,
  name: string,
  input: unknown,
  options: Callbacks & TRPCRequestOptions,
): unknown {
  const { signal, context, ...callbacks } = options
  const request = { ...(signal === undefined ? {} : { signal }), ...(context === undefined ? {} : { context }) }
  if (Object.keys(callbacks).length === 0) return mapped(untyped.subscription(name, input, request))
  const { onError } = callbacks
  const observer = {
    ...callbacks,
    ...request,
    // Typed by tRPC as its own error; ours is what a user of this package handles.
    onError: (error: TRPCClientError<AppRouter>) =>
      onError === undefined ? undefined : Reflect.apply(onError, undefined, [asAioError(error)]),
  }
  return untyped.subscription(name, input, observer)
}

async function* mapped(items: AsyncIterable<unknown>): AsyncGenerator<unknown, void> {
  try {
    yield* items
  } catch (thrown) {
    throw asAioError(thrown)
  }
}
