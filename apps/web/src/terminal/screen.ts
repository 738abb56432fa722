import { FitAddon } from '@xterm/addon-fit'
import { UnicodeGraphemesAddon } from '@xterm/addon-unicode-graphemes'
import { WebLinksAddon } from '@xterm/addon-web-links'
import { Terminal } from '@xterm/xterm'
import { makeInert, withoutReports } from './inert-sequences.ts'
import { terminalTheme, watchTheme } from './terminal-theme.ts'

/** Cells of a terminal. */
export interface Cells {
  cols: number
  rows: number
}

/** Text size on a laptop and on a phone, and the smallest one that a foreign size is shown in; pixels. */
const FONT_PX = 13
const FONT_PHONE_PX = 14
const FONT_MIN_PX = 10

/** Lines that stay above the screen to scroll back to. */
const SCROLLBACK_LINES = 5_000

const PHONE = '(max-width: 767px)'

/** A font that nothing on the page has used yet is only loaded when it is asked for. */
async function loadFonts(fontFamily: string): Promise<void> {
  await Promise.all(
    ['', 'bold '].map(async (weight) => await document.fonts.load(`${weight}${FONT_PX}px ${fontFamily}`)),
  )
}

/** One xterm on the page: sized, coloured, and without a voice of its own. */
export class Screen {
  readonly terminal: Terminal
  /** Settles when fonts and renderer are there: both change how large a cell is. */
  readonly ready: Promise<void>
  readonly #fit = new FitAddon()
  readonly #host: HTMLElement
  readonly #stops: (() => void)[] = []
  #cells: Cells | undefined

  constructor(host: HTMLElement, onInput: (data: string) => void) {
    this.#host = host
    const fontFamily = getComputedStyle(document.documentElement).getPropertyValue('--font-code')
    this.terminal = new Terminal({
      allowProposedApi: true,
      fontFamily,
      fontSize: fontPx(),
      lineHeight: 1.15,
      scrollback: SCROLLBACK_LINES,
      cursorBlink: false,
      cursorStyle: 'block',
      cursorInactiveStyle: 'outline',
      theme: terminalTheme(host),
      minimumContrastRatio: 4.5,
      macOptionIsMeta: true,
      rightClickSelectsWord: false,
      screenReaderMode: false,
      windowOptions: {},
      linkHandler: { activate: (_event, text) => openLink(text), allowNonHttpProtocols: false },
    })
    this.terminal.loadAddon(this.#fit)
    this.terminal.loadAddon(new UnicodeGraphemesAddon())
    this.terminal.loadAddon(new WebLinksAddon((_event, uri) => openLink(uri)))
    makeInert(this.terminal)
    this.terminal.open(host)
    this.ready = Promise.all([loadFonts(fontFamily), this.#useGpu()]).then(() => undefined)
    this.terminal.attachCustomKeyEventHandler((event) => this.#isForTerminal(event))
    this.terminal.onData((data) => {
      const typed = withoutReports(data)
      if (typed !== '') onInput(typed)
    })
    this.terminal.onBinary((data) => onInput(data))
    this.#stops.push(
      watchTheme(() => {
        this.terminal.options.theme = terminalTheme(host)
      }),
    )
  }

  /** How many cells fit into the place at the normal text size; `undefined` while it has no place. */
  fitting(): Cells | undefined {
    this.terminal.options.fontSize = fontPx()
    const proposed = this.#fit.proposeDimensions()
    if (this.#cells !== undefined) this.show(this.#cells)
    if (proposed === undefined || !Number.isFinite(proposed.cols) || !Number.isFinite(proposed.rows)) return undefined
    return { cols: Math.min(500, Math.max(2, proposed.cols)), rows: Math.min(300, Math.max(2, proposed.rows)) }
  }

  /** Shows a terminal of this size; one that is too wide is shown in smaller text, and then scrolls. */
  show(cells: Cells): void {
    this.#cells = cells
    this.terminal.options.fontSize = fontPx()
    const own = this.#fit.proposeDimensions()
    if (own !== undefined && own.cols > 0 && cells.cols > own.cols)
      this.terminal.options.fontSize = Math.max(FONT_MIN_PX, Math.floor((fontPx() * own.cols * 2) / cells.cols) / 2)
    if (this.terminal.cols !== cells.cols || this.terminal.rows !== cells.rows)
      this.terminal.resize(cells.cols, cells.rows)
  }

  /** Writes and waits until it has been parsed, so that a fast program waits for a slow browser. */
  write(data: string): Promise<void> {
    return new Promise((resolve) => this.terminal.write(data, resolve))
  }

  /** An arrow key as the program has asked for it (application or normal mode). */
  arrow(final: string): string {
    return this.terminal.modes.applicationCursorKeysMode ? `\u001bO${final}` : `\u001b[${final}`
  }

  /** Takes it off the page. */
  dispose(): void {
    for (const stop of this.#stops) stop()
    this.terminal.dispose()
    this.#host.replaceChildren()
  }

  async #useGpu(): Promise<void> {
    try {
      const { WebglAddon } = await import('@xterm/addon-webgl')
      const addon = new WebglAddon()
      addon.onContextLoss(() => addon.dispose())
      this.terminal.loadAddon(addon)
    } catch {
      // Without WebGL the terminal is drawn with elements, slower and the same to look at.
    }
  }

  #isForTerminal(event: KeyboardEvent): boolean {
    if (event.type !== 'keydown') return true
    const key = event.key.toLowerCase()
    const isCopy =
      key === 'c' &&
      ((event.ctrlKey && event.shiftKey) || event.metaKey || (event.ctrlKey && this.terminal.hasSelection()))
    if (isCopy && this.terminal.hasSelection()) {
      void navigator.clipboard?.writeText(this.terminal.getSelection())
      if (!event.metaKey) this.terminal.clearSelection()
      event.preventDefault()
      return false
    }
    // The browser pastes by itself, and xterm brackets it when the program has asked for that.
    if (key === 'v' && (event.metaKey || (event.ctrlKey && event.shiftKey))) return false
    return !(event.metaKey && key === 'k')
  }
}

function fontPx(): number {
  return window.matchMedia(PHONE).matches ? FONT_PHONE_PX : FONT_PX
}

/** Opens a link of the program in a page that knows nothing of this one; http and https only. */
function openLink(text: string): void {
  if (!URL.canParse(text)) return
  const { protocol, href } = new URL(text)
  if (protocol === 'http:' || protocol === 'https:') window.open(href, '_blank', 'noopener,noreferrer')
}
