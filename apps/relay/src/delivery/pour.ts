import { AioError } from '@ai-orchestration/protocol'
import type { TrackedEnvelope } from '@trpc/server'
import type { Peer } from '../context.ts'
import type { Mailbox } from '../fleet/mailbox.ts'
import { Handover } from './handover.ts'
import { textFrame } from './text-frame.ts'
import { trackedText } from './tracked-text.ts'

/** A subscription to a mailbox: its items go straight to the socket, until it is closed. */
export function pour<T>(
  mailbox: Mailbox<T>,
  options: { peer: Peer | undefined; idOf: (item: T) => string },
): Handover<TrackedEnvelope<T>> {
  const { peer, idOf } = options
  if (peer === undefined) throw new AioError('INVALID_INPUT', 'Subscriptions are served over the WebSocket at /ws.')
  return new Handover((prefix, ending) =>
    mailbox.pour(
      (item) => peer.deliver(textFrame(`${prefix}${trackedText(idOf(item), item)}}`)),
      () => ending.stop(),
    ),
  )
}
