import { setDeviceToken } from './device-token.ts'
import { closeRelayClient } from './relay-client.ts'
import { createStore, useStore } from './store.ts'

const reason = createStore<string | undefined>(undefined)

/** Forgets this device's token and its connection; `why` is shown at the login when the person did not ask for it. */
export function forgetLogin(why?: string): void {
  reason.set(why)
  closeRelayClient()
  setDeviceToken(null)
}

/** Why this device was logged out, when nobody asked for it. */
export function useLogoutReason(): string | undefined {
  return useStore(reason, undefined)
}
