/** A link that may be followed: its address, and where it leads in few words. */
export interface SafeLink {
  href: string
  /** Host, or mail address. */
  shown: string
}

/** Reads a link of an agent; `undefined` for anything but web pages and mail, and for what has no address of its own. */
export function safeLink(href: string): SafeLink | undefined {
  const url = URL.parse(href)
  switch (url?.protocol) {
    case 'http:':
    case 'https:':
      // A name before the host is there to look like one.
      return url.username === '' && url.password === '' ? { href: url.href, shown: url.host } : undefined
    case 'mailto:':
      return { href: url.href, shown: url.pathname }
    default:
      return undefined
  }
}
