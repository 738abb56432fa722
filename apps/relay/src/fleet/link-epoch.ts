import type { Store } from '../store/store.ts'

const LINKS_PER_START = 1_000_000 // more connections than one run of a relay will see

/** Where the epochs of this run begin: above those of every run before, also when the clock was set back (C-9). */
export async function firstLinkEpoch(store: Store, now: number = Date.now()): Promise<number> {
  const [row] = store.rows("SELECT value FROM meta WHERE key = 'link-epoch'")
  const first = Math.max(now, row === undefined ? 0 : Number(row['value']) + LINKS_PER_START)
  store.add({ statement: 'putMeta', values: ['link-epoch', String(first)] })
  await store.settled()
  return first
}
