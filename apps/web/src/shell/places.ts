import { Inbox, Server, SlidersHorizontal } from 'lucide-react'

/** The places of the navigation, on the side of a laptop and at the bottom of a phone. */
export const PLACES = [
  { href: '/', label: 'Inbox and fleet', short: 'Inbox', icon: Inbox },
  { href: '/orchestrators', label: 'Orchestrators', short: 'Machines', icon: Server },
  { href: '/settings', label: 'Settings', short: 'Settings', icon: SlidersHorizontal },
] as const
