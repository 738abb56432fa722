import { KeyRound } from 'lucide-react'
import { useRouter } from 'next/router'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import { deviceToken, setDeviceToken } from '../relay/device-token.ts'
import { useLogoutReason } from '../relay/log-out.ts'
import { exchange, LoginError } from '../relay/login.ts'
import { closeRelayClient } from '../relay/relay-client.ts'
import { PageTitle } from '../shell/page-title.tsx'
import { Button } from '../ui/button.tsx'
import { CopyLine } from '../ui/copy-line.tsx'
import { Field, Input } from '../ui/field.tsx'
import { Logo } from '../ui/logo.tsx'
import { Spinner } from '../ui/state-glyph.tsx'
import { RelayFooter } from './relay-footer.tsx'

/** Logs this device in: by the one-time code of a link, or by a pasted token. */
export function LoginPage() {
  const { error, isSending, isByLink, logIn } = useLogin()
  const logoutReason = useLogoutReason()
  const [token, setToken] = useState('')
  const [isShown, setShown] = useState(false)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    logIn({ token: token.trim() })
  }
  return (
    <div className="grid h-dvh grid-rows-[1fr_auto] overflow-y-auto bg-surface-0 [--cut:var(--bg-0)]">
      <PageTitle title="Log in" />
      <main className="grid place-items-center px-5 py-8">
        <div className="-mt-10 w-full max-w-[376px] max-md:mt-0">
          <div className="mb-5 flex items-center gap-2.5">
            <Logo size={24} />
            <h1 className="text-18 font-semibold">Log in to AI Orchestration</h1>
          </div>
          {logoutReason !== undefined && !isByLink && (
            <p role="status" className="mb-4 rounded-3 border border-needs-line bg-needs-soft px-3 py-2">
              <b className="font-semibold">This device was logged out.</b>{' '}
              <span className="text-ink-2">{logoutReason}</span>
            </p>
          )}
          {isByLink ? (
            <p role="status" className="flex h-10 items-center gap-2.5 text-ink-2">
              <Spinner />
              Logging this device in by its link
            </p>
          ) : (
            <form onSubmit={submit} noValidate>
              <Field id="token" label="Access token" error={error}>
                <Input
                  id="token"
                  name="token"
                  autoFocus
                  type={isShown ? 'text' : 'password'}
                  autoComplete="off"
                  isMono
                  value={token}
                  isInvalid={error !== undefined}
                  onChange={(event) => setToken(event.target.value)}
                  frameClassName="!h-10 max-md:!h-11"
                  before={<KeyRound />}
                  after={
                    <button
                      type="button"
                      onClick={() => setShown(!isShown)}
                      className="text-12 text-ink-2 hover:text-ink-1 max-md:h-11 max-md:px-1"
                    >
                      {isShown ? 'Hide' : 'Show'}
                    </button>
                  }
                />
              </Field>
              <Button type="submit" kind="primary" size="xl" isSending={isSending} className="mt-3 w-full">
                Log in
              </Button>
              <p className="mt-2.5 text-12 text-ink-3">
                The token stays in this browser until you log out or revoke it.
              </p>
            </form>
          )}
          <div className="mt-6 mb-4 h-px bg-line-2" />
          <p className="font-medium">Without a token</p>
          <p className="mt-0.5 mb-2.5 text-ink-2">
            On the machine that runs the relay, this prints a link and a QR code. Each logs in one device, once.
          </p>
          <CopyLine text="npx aio login" />
        </div>
      </main>
      <RelayFooter />
    </div>
  )
}

function useLogin() {
  const router = useRouter()
  const [error, setError] = useState<string>()
  const [isSending, setSending] = useState(false)
  const [isByLink, setByLink] = useState(false)
  const wasRead = useRef(false)

  const logIn = async (secret: { code: string } | { token: string }) => {
    if ('token' in secret && secret.token === '')
      return setError('Paste an access token, or use the link that the command below prints.')
    setSending(true)
    setError(undefined)
    try {
      const token = await exchange(secret)
      closeRelayClient()
      setDeviceToken(token)
      await router.replace('/')
    } catch (thrown) {
      setError(thrown instanceof LoginError ? thrown.message : String(thrown))
      setByLink(false)
    } finally {
      setSending(false)
    }
  }

  useEffect(() => {
    const readAddress = () => {
      const code = new URLSearchParams(window.location.hash.slice(1)).get('code')
      if (code === null) return false
      // The code is gone from the address, and so from the history, before anything else happens.
      window.history.replaceState(window.history.state, '', '/login')
      setByLink(true)
      void logIn({ code })
      return true
    }
    window.addEventListener('hashchange', readAddress)
    if (!wasRead.current) {
      wasRead.current = true
      if (!readAddress() && typeof deviceToken() === 'string') void router.replace('/')
    }
    return () => window.removeEventListener('hashchange', readAddress)
  }, [])

  return { error, isSending, isByLink, logIn: (secret: { code: string } | { token: string }) => void logIn(secret) }
}
