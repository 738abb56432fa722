import { ulid } from 'ulid'

const RELAY = ulid()
let last = 0

/** Ids of connections, unique also over restarts: a number is all that an idle connection keeps of its own. */
export const connectionId = {
  next(): number {
    last += 1
    return last
  },
  of(number: number): string {
    return `${RELAY}-${number}`
  },
}
