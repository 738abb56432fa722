/** A terminal's well-formed escape sequences: colours and cursor moves (CSI), titles and links (OSC), and short ones. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\^_])/g
/** What would change how the text beside it is shown or read: other control characters, and marks that turn the direction of writing. */
const DECEPTIVE = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

/**
 * Text that a program or an agent wrote, as it may stand on the page: a terminal's escape sequences are left out, and
 * every other character that could hide or reorder what is beside it is shown as the mark for an unknown one.
 */
export function inertText(text: string): string {
  return text
    .replaceAll(ESCAPES, '')
    .replaceAll('\r\n', '\n')
    .replaceAll(DECEPTIVE, (character) => (character === '\n' || character === '\t' ? character : '\ufffd'))
}
