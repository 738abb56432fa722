import type { Logger } from 'pino'
import type { Audit } from './audit/audit.ts'
import type { CallRates } from './auth/call-rates.ts'
import type { FailureLimit } from './auth/failure-limit.ts'
import type { HostGuard } from './auth/host-guard.ts'
import type { LoginCodes } from './auth/login-codes.ts'
import type { Tokens } from './auth/tokens.ts'
import type { Commands } from './command/commands.ts'
import type { Watch } from './delivery/watch.ts'
import type { Draining } from './edge/draining.ts'
import type { Fleet } from './fleet/fleet.ts'
import type { Links } from './fleet/links.ts'
import type { Inbox } from './inbox/inbox.ts'
import type { Journal } from './journal/journal.ts'
import type { Calls } from './metrics/calls.ts'
import type { Endings } from './metrics/endings.ts'
import type { Store } from './store/store.ts'
import type { Streams } from './stream/streams.ts'

/** The relay's rooms, put together once in `relay.ts`. */
export interface Services {
  readonly log: Logger
  readonly draining: Draining
  /** Tells whether things can be kept. */
  readonly storage: Pick<Store, 'trouble' | 'backlog' | 'tally' | 'isCongested' | 'room'>
  readonly calls: Calls
  readonly endings: Endings
  readonly audit: Audit
  readonly tokens: Tokens
  readonly codes: LoginCodes
  readonly exchangeFailures: FailureLimit
  /** How many refusals of each token are worth keeping. */
  readonly refusals: FailureLimit
  readonly hostGuard: HostGuard
  readonly rates: CallRates
  readonly journal: Journal
  readonly fleet: Fleet
  readonly inbox: Inbox
  readonly links: Links
  readonly commands: Commands
  readonly watch: Watch
  readonly streams: Streams
}
