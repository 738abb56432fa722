import Link from 'next/link'
import { useRouter } from 'next/router'
import type { ComponentType, ReactNode } from 'react'
import { useInboxCount } from '../inbox/inbox-items.ts'
import { cx } from '../ui/cx.ts'
import { Pip } from './pip.tsx'
import { PLACES } from './places.ts'

/** The places at the bottom of a phone's screen. */
export function BottomNav() {
  const { pathname } = useRouter()
  const needs = useInboxCount()
  return (
    <BottomBar label="Main">
      {PLACES.map(({ href, short, icon: Icon }) => (
        <Link
          key={href}
          href={href}
          prefetch={false}
          aria-current={pathname === href ? 'page' : undefined}
          className={bottomItem(pathname === href)}
        >
          <span className="relative">
            <Icon className="icon-20" />
            {href === '/' && <Pip count={needs} className="-top-1.5 left-3" />}
          </span>
          {short}
        </Link>
      ))}
    </BottomBar>
  )
}

/** The views of a session at the bottom of a phone's screen. */
export function BottomTabs<View extends string>(props: {
  views: readonly { id: View; label: string; icon: ComponentType<{ className?: string }> }[]
  current: View
  onChange: (view: View) => void
}) {
  return (
    <BottomBar label="Session">
      {props.views.map(({ id, label, icon: Icon }) => (
        <button
          key={id}
          type="button"
          aria-pressed={props.current === id}
          onClick={() => props.onChange(id)}
          className={bottomItem(props.current === id)}
        >
          <Icon className="icon-20" />
          {label}
        </button>
      ))}
    </BottomBar>
  )
}

function BottomBar({ label, children }: { label: string; children: ReactNode }) {
  return (
    <nav
      aria-label={label}
      className="safe-bottom grid flex-none auto-cols-fr grid-flow-col border-t border-line-2 bg-surface-0 px-1 md:hidden [@media(max-height:480px)]:hidden"
    >
      {children}
    </nav>
  )
}

function bottomItem(isOn: boolean): string {
  return cx(
    'flex h-[56px] flex-col items-center justify-center gap-[3px] text-11 font-medium focus-visible:shadow-focus-inset',
    isOn ? 'text-ink-1' : 'text-ink-3',
  )
}
