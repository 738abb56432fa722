/** Cuts Markdown at its blank lines, but not within fenced code, so that a text that grows is read again only at its end. */
export function blocksOf(text: string): string[] {
  const blocks: string[] = []
  let block: string[] = []
  let fence: string | undefined
  for (const line of text.split('\n')) {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1]
    if (fence === undefined) fence = mark
    else if (mark?.startsWith(fence) === true && line.trim() === mark) fence = undefined
    const isContinued = /^\s/.test(line)
    // Indented lines and what follows a list belong to what is before them.
    if (line.trim() === '' && fence === undefined && block.length > 0) block.push(line)
    else if (block.at(-1)?.trim() === '' && fence === mark && !isContinued && !/^([-*+]|\d+[.)])\s/.test(line)) {
      blocks.push(block.join('\n'))
      block = [line]
    } else block.push(line)
  }
  return [...blocks, block.join('\n')].filter((each) => each.trim() !== '')
}
