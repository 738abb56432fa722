import Table from 'cli-table3'

const NOTHING = ''
const BORDERLESS = {
  top: NOTHING,
  'top-mid': NOTHING,
  'top-left': NOTHING,
  'top-right': NOTHING,
  bottom: NOTHING,
  'bottom-mid': NOTHING,
  'bottom-left': NOTHING,
  'bottom-right': NOTHING,
  left: NOTHING,
  'left-mid': NOTHING,
  mid: NOTHING,
  'mid-mid': NOTHING,
  right: NOTHING,
  'right-mid': NOTHING,
  middle: '  ',
}

/** Lays out rows under headings, without lines, so that it reads well and can be cut by other programs. */
export function table(head: string[], rows: string[][]): string {
  const layout = new Table({
    head: head.map((text) => text.toUpperCase()),
    chars: BORDERLESS,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
  })
  for (const row of rows) layout.push(row.map(inert))
  return layout
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

/** Text of others, made harmless for a terminal: no control or direction-changing characters. */
export function inert(text: string): string {
  return text.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu, '�')
}

/** Like {@link inert}, for text of several lines. */
export function inertLines(text: string): string {
  return text.split('\n').map(inert).join('\n')
}
