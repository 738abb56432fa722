import { useRouter } from 'next/router'
import { type ReactNode, useEffect } from 'react'
import { useConnection } from '../relay/connection.ts'
import { useDeviceToken } from '../relay/device-token.ts'
import { forgetLogin } from '../relay/log-out.ts'
import { BottomNav } from './bottom-nav.tsx'
import { DialogsProvider } from './dialogs.tsx'
import { Rail } from './rail.tsx'
import { useShortcuts } from './shortcuts.ts'
import { SideNav } from './side-nav.tsx'

/** The frame of every page behind the login: navigation at the side or bottom, the page in the middle. */
export function Shell({ children }: { children: ReactNode }) {
  const isLoggedIn = useLoginGuard()
  // Nothing is asked of the relay before there is a token to ask with.
  if (!isLoggedIn) return <div className="h-dvh bg-surface-0" />
  return (
    <DialogsProvider>
      <Frame>{children}</Frame>
    </DialogsProvider>
  )
}

function Frame({ children }: { children: ReactNode }) {
  const { pathname, query } = useRouter()
  const isSession = pathname === '/sessions/[id]'
  const id = typeof query['id'] === 'string' ? query['id'] : undefined
  useShortcuts(isSession ? id?.split('_')[0] : pathname === '/projects/[id]' ? id : undefined)
  return (
    <div className="flex h-dvh max-md:flex-col">
      {isSession ? <Rail sessionId={id} /> : <SideNav />}
      <main className="flex min-h-0 min-w-0 flex-1 flex-col border-l border-line-1 bg-surface-1 max-md:safe-top max-md:border-l-0">
        {children}
      </main>
      {!isSession && <BottomNav />}
    </div>
  )
}

/** Leads to the login when this device has no token, or the relay no longer takes it. */
function useLoginGuard(): boolean {
  const token = useDeviceToken()
  const link = useConnection()
  const refusal = link.kind === 'refused' ? link.message : undefined
  const router = useRouter()
  useEffect(() => {
    if (refusal !== undefined) forgetLogin(refusal)
  }, [refusal])
  useEffect(() => {
    if (token === null) void router.replace('/login')
  }, [token, router])
  return typeof token === 'string'
}
