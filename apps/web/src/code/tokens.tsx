import type { Token } from './highlight.ts'

/** One line's coloured stretches. */
export function Tokens({ tokens }: { tokens: readonly Token[] }) {
  return tokens.map((token, index) => (
    <span key={index} className={token.className}>
      {token.text}
    </span>
  ))
}

/** Code without colours, in the same shape. */
export function plainLines(code: string): Token[][] {
  return code.split('\n').map((text) => [{ text, className: undefined }])
}
