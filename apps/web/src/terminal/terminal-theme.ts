import type { ITheme } from '@xterm/xterm'

const COLORS = {
  background: '--term-bg',
  foreground: '--term-fg',
  cursor: '--term-cursor',
  cursorAccent: '--term-bg',
  selectionBackground: '--term-selection',
  black: '--ansi-black',
  red: '--ansi-red',
  green: '--ansi-green',
  yellow: '--ansi-yellow',
  blue: '--ansi-blue',
  magenta: '--ansi-magenta',
  cyan: '--ansi-cyan',
  white: '--ansi-white',
  brightBlack: '--ansi-bright-black',
  brightRed: '--ansi-bright-red',
  brightGreen: '--ansi-bright-green',
  brightYellow: '--ansi-bright-yellow',
  brightBlue: '--ansi-bright-blue',
  brightMagenta: '--ansi-bright-magenta',
  brightCyan: '--ansi-bright-cyan',
  brightWhite: '--ansi-bright-white',
} as const satisfies Partial<Record<keyof ITheme, string>>

/** The terminal's colours as the page's tokens say now; xterm needs them resolved. */
export function terminalTheme(host: HTMLElement): ITheme {
  const probe = document.createElement('span')
  host.append(probe)
  const theme = Object.fromEntries(
    Object.entries(COLORS).map(([name, token]) => {
      probe.style.color = `var(${token})`
      return [name, toHex(getComputedStyle(probe).color)]
    }),
  )
  probe.remove()
  return theme
}

/** Calls back when the page changes between dark and light; returns what stops it. */
export function watchTheme(listener: () => void): () => void {
  const media = window.matchMedia('(prefers-color-scheme: dark)')
  media.addEventListener('change', listener)
  const observer = new MutationObserver(listener)
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] })
  return () => {
    media.removeEventListener('change', listener)
    observer.disconnect()
  }
}

/** `rgb(r, g, b)` or `rgba(r, g, b, a)` as `#rrggbb` or `#rrggbbaa`, the one form xterm always takes. */
function toHex(color: string): string {
  const parts = (color.match(/[\d.]+/g) ?? []).map(Number)
  const [r = 0, g = 0, b = 0, a = 1] = parts
  const bytes = a === 1 ? [r, g, b] : [r, g, b, a * 255]
  return `#${bytes.map((byte) => Math.round(byte).toString(16).padStart(2, '0')).join('')}`
}
