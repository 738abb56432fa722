import { BATCH_ENTRIES, Buckets, COMMIT_SECONDS } from '../metrics/buckets.ts'

/** What a database has been through. */
export class StoreTally {
  entries = 0
  eventBytes = 0
  failures = 0
  readonly commitSeconds = new Buckets(COMMIT_SECONDS)
  readonly batchEntries = new Buckets(BATCH_ENTRIES)
}
