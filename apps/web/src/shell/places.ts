import { Inbox, Server, SlidersHorizontal } from 'lucide-react'

/** The places of the navigation, on the side of a laptop and at the bottom of a phone. */
export const PLACES = [
  { href: '/', label: 'Fleet', icon: Inbox },
  { href: '/orchestrators', label: 'Orchestrators', icon: Server },
  { href: '/settings', label: 'Settings', icon: SlidersHorizontal },
] as const
