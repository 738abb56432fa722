import { describe, expect, test } from 'vitest'
import { LEAVE_SCREEN, plainText, replayText, ScreenFilter } from './screen-filter.ts'

describe('what a session may do to the terminal of a person', () => {
  test.each([
    ['plain text and \u001b[31mcolours\u001b[0m\r\n', 'plain text and \u001b[31mcolours\u001b[0m\r\n'],
    ['\u001b[6n\u001b[c\u001b[>c\u001b[5n\u001b[?6n\u001b[>0q\u001b[?u\u001b[?2026$p\u001b[18t', ''],
    ['\u001b]11;?\u0007\u001b]10;?\u001b\\\u001b]4;1;?\u0007\u001bP+q544e\u001b\\\u001bP$qm\u001b\\', ''],
    ['\u001b]52;c;aGVsbG8=\u0007x', 'x'],
    ['\u001bcx', 'x'],
    [
      '\u001b]0;title\u0007\u001b[?2004h\u001b[2;5H\u001b(B\u001b7',
      '\u001b]0;title\u0007\u001b[?2004h\u001b[2;5H\u001b(B\u001b7',
    ],
  ])('%j', (given, shown) => {
    expect(new ScreenFilter().take(given).text).toBe(shown)
    // And the same when it comes byte by byte.
    const filter = new ScreenFilter()
    expect([...given].map((char) => filter.take(char).text).join('')).toBe(shown)
  })

  test('its own switches of screen clear ours, and leaving its alternate screen asks for a fresh picture', () => {
    const filter = new ScreenFilter()
    expect(filter.take('\u001b[?1049h')).toEqual({ text: '\u001b[H\u001b[2J', hasLeftAlternate: false })
    expect(filter.take('a\u001b[?10')).toEqual({ text: 'a', hasLeftAlternate: false })
    expect(filter.take('49lb')).toEqual({ text: '\u001b[H\u001b[2Jb', hasLeftAlternate: true })
  })

  test('nothing after the last switch of screens moves the cursor', () => {
    expect(LEAVE_SCREEN.slice(LEAVE_SCREEN.lastIndexOf('\u001b[?1049l'))).toBe('\u001b[?1049l\u001b[0m\u001b[?25h')
    for (const mode of ['1000', '1002', '1003', '1006', '2004', '1004'])
      expect(LEAVE_SCREEN).toContain(`\u001b[?${mode}l`)
  })
})

test('plain text keeps words, line ends and, when asked, colours', () => {
  const text = '\u001b[2J\u001b[H\u001b[1;32mok\u001b[0m\r\n\u001b]0;x\u0007done\u0007\r\n'
  expect(plainText(text, false)).toBe('ok\ndone\n')
  expect(plainText(text, true)).toBe('\u001b[1;32mok\u001b[0m\ndone\n')
})

test('a picture of the screen reads as lines', () => {
  const rows = '\u001b[1;1H$ one\u001b[2;1Htwo\u001b[3;1H\u001b[0m\u000f\u001b[2;4H'
  expect(replayText(`\u001b)0${rows}`, false)).toBe('$ one\ntwo')
  expect(replayText(`\u001b)0old\r\nolder\r\n\u001b[0m\u000f\n\n${rows}`, false)).toBe('old\nolder\n$ one\ntwo')
  expect(replayText(`\u001b)0${rows}\u001b[?1049h\u001b[1;1Hvi\u001b[2;1H~`, false)).toBe('vi\n~')
  expect(replayText('the end\r\nof a log\r\n', false)).toBe('the end\nof a log')
})
