import type { Terminal } from '@xterm/xterm'

/**
 * Makes a viewer a viewer: xterm answers questions of the program (device attributes, cursor position, colours) by
 * itself, and those answers would be typed into the session once per viewer. tmux has answered them already. Also
 * swallows what a program must not do to a person's browser: write its clipboard (OSC 52), move or report its window.
 */
export function makeInert(terminal: Pick<Terminal, 'parser'>): void {
  const { parser } = terminal
  const swallow = () => true
  // Device attributes 1, 2, 3; device status; mode and version requests; window operations; terminal parameters.
  for (const id of [
    { final: 'c' },
    { prefix: '>', final: 'c' },
    { prefix: '=', final: 'c' },
    { final: 'n' },
    { prefix: '?', final: 'n' },
    { intermediates: '$', final: 'p' },
    { prefix: '?', intermediates: '$', final: 'p' },
    { prefix: '>', final: 'q' },
    { final: 't' },
    { final: 'x' },
    { prefix: '?', final: 'u' },
  ])
    parser.registerCsiHandler(id, swallow)
  // DECRQSS and XTGETTCAP.
  parser.registerDcsHandler({ intermediates: '$', final: 'q' }, swallow)
  parser.registerDcsHandler({ intermediates: '+', final: 'q' }, swallow)
  // A question asks with "?"; setting a colour stays allowed, it only paints this screen.
  for (const id of [4, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    parser.registerOscHandler(id, (data) => data.includes('?'))
  // Titles, notifications, the clipboard, and iTerm's file transfers.
  for (const id of [0, 1, 2, 7, 9, 50, 52, 99, 777, 1337]) parser.registerOscHandler(id, swallow)
  // ENQ would send the answerback; xterm has none, and ESC Z is the old device attributes request.
  parser.registerEscHandler({ final: 'Z' }, swallow)
}

/** What xterm sends by itself when its window gains or loses the focus; with several viewers it means nothing. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the sequences themselves
const FOCUS_REPORTS = /\u001b\[[IO]/g

/** Takes out of typed text what no person typed. */
export function withoutReports(data: string): string {
  return data.replace(FOCUS_REPORTS, '')
}
