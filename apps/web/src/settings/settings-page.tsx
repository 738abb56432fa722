import type { ReactNode } from 'react'
import { useState } from 'react'
import { forgetLogin } from '../relay/log-out.ts'
import { trpc } from '../relay/trpc.ts'
import { useMe } from '../relay/use-fleet.ts'
import { RuleList } from '../rules/rule-list.tsx'
import { Banner } from '../shell/banner.tsx'
import { Bar } from '../shell/bar.tsx'
import { Button } from '../ui/button.tsx'
import { Segments } from '../ui/segments.tsx'
import { type Appearance, setAppearance, useAppearance } from './appearance.ts'
import { LoginLink } from './login-link.tsx'
import { Tokens } from './tokens.tsx'

/** How this browser looks, who it is, and for an admin every token. */
export function SettingsPage() {
  const me = useMe()
  return (
    <>
      <Bar title="Settings" />
      <Banner />
      <div className="min-h-0 flex-1 overflow-y-auto">
        <div className="mx-auto flex w-full max-w-[760px] flex-col gap-7 px-5 py-6 max-md:px-4">
          <AppearanceSection />
          <DeviceSection />
          <Section
            title="Another device"
            text="A link that logs in one device, once, within five minutes. It gets the role of this one."
          >
            <LoginLink />
          </Section>
          <Section
            title="Standing answers"
            text="What was answered with Always, on the machines that are online. Revoking one asks again from then on."
          >
            <div className="rounded-4 border border-line-2 bg-surface-2">
              <RuleList projectId={undefined} />
            </div>
          </Section>
          {me?.roles.includes('admin') === true && (
            <Section
              title="Tokens and devices"
              text="Everyone and everything that may connect. Revoking takes effect at once."
            >
              <Tokens />
            </Section>
          )}
        </div>
      </div>
    </>
  )
}

function AppearanceSection() {
  const appearance = useAppearance()
  return (
    <Section title="Appearance" text="Kept in this browser.">
      <Segments<Appearance>
        label="Appearance"
        value={appearance}
        onChange={setAppearance}
        options={[
          { id: 'system', label: 'System' },
          { id: 'dark', label: 'Dark' },
          { id: 'light', label: 'Light' },
        ]}
      />
    </Section>
  )
}

function DeviceSection() {
  const me = useMe()
  const { client } = trpc.useUtils()
  const [isSending, setSending] = useState(false)
  const logOut = async () => {
    setSending(true)
    try {
      await client.auth.logout.mutate()
    } catch (thrown) {
      // The token is forgotten here in any case; an admin can still revoke it.
      console.warn('The relay could not be told of the log-out.', thrown instanceof Error ? thrown.message : thrown)
    }
    forgetLogin()
  }
  return (
    <Section title="This device" text="Logging out revokes this device's token and forgets it here.">
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2 rounded-4 border border-line-2 bg-surface-2 px-3.5 py-2.5">
        <span className="font-medium">{me?.name ?? 'This browser'}</span>
        <span className="text-12 text-ink-3">{me === undefined ? '' : me.roles.join(', ')}</span>
        <span className="flex-1" />
        {me !== undefined && <span className="code-sm text-ink-3">relay {me.relayVersion}</span>}
        <Button isSending={isSending} onClick={() => void logOut()}>
          Log out
        </Button>
      </div>
    </Section>
  )
}

function Section({ title, text, children }: { title: string; text: string; children: ReactNode }) {
  return (
    <section>
      <h2 className="font-semibold">{title}</h2>
      <p className="mb-2.5 text-12 text-ink-3">{text}</p>
      {children}
    </section>
  )
}
