import { common, createLowlight } from 'lowlight'

const lowlight = createLowlight(common)

/** Code above this many characters is shown without colours: they would cost more than they tell. */
const COLOURED_MAX_CHARS = 60_000

/** A stretch of one line in one colour; without a class it is plain. */
export interface Token {
  text: string
  className: string | undefined
}

/** What of a highlighter's scopes gets which of our colours; the rest stays plain. */
const CLASSES: Readonly<Record<string, string>> = {
  keyword: 'text-syn-keyword',
  literal: 'text-syn-keyword',
  'selector-tag': 'text-syn-keyword',
  meta: 'text-syn-keyword',
  section: 'text-syn-keyword font-semibold',
  string: 'text-syn-string',
  regexp: 'text-syn-string',
  symbol: 'text-syn-string',
  title: 'text-syn-func',
  attr: 'text-syn-func',
  attribute: 'text-syn-func',
  built_in: 'text-syn-type',
  type: 'text-syn-type',
  name: 'text-syn-type',
  tag: 'text-syn-type',
  variable: 'text-syn-type',
  'template-variable': 'text-syn-type',
  'selector-class': 'text-syn-type',
  number: 'text-syn-number',
  comment: 'text-syn-comment',
  quote: 'text-syn-comment',
  punctuation: 'text-syn-punct',
  operator: 'text-syn-punct',
  addition: 'text-add-ink',
  deletion: 'text-del-ink',
}

/** Names of languages by the ends of files that are not named after them. */
const BY_EXTENSION: Readonly<Record<string, string>> = {
  cjs: 'javascript',
  mjs: 'javascript',
  cts: 'typescript',
  mts: 'typescript',
  tsx: 'typescript',
  yml: 'yaml',
  toml: 'ini',
  svg: 'xml',
  vue: 'xml',
  h: 'c',
  hpp: 'cpp',
}

/** The language of a file by its name, where one is known. */
export function languageOf(path: string): string | undefined {
  const name = path.slice(path.lastIndexOf('/') + 1).toLowerCase()
  const extension = name.slice(name.lastIndexOf('.') + 1)
  return BY_EXTENSION[extension] ?? (lowlight.registered(extension) ? extension : undefined)
}

/** Code as lines of coloured stretches; plain where the language is not known or the code is long. */
export function highlight(code: string, language: string | undefined): Token[][] {
  if (language === undefined || code.length > COLOURED_MAX_CHARS || !lowlight.registered(language))
    return code.split('\n').map((text) => [{ text, className: undefined }])
  const lines: Token[][] = [[]]
  take(lowlight.highlight(language, code).children, undefined, lines)
  return lines
}

type Node = ReturnType<typeof lowlight.highlight>['children'][number]

function take(nodes: readonly Node[], className: string | undefined, lines: Token[][]): void {
  for (const node of nodes) {
    if (node.type === 'element') take(node.children, classOf(node.properties['className']) ?? className, lines)
    else if (node.type === 'text')
      for (const [index, text] of node.value.split('\n').entries()) {
        if (index > 0) lines.push([])
        if (text !== '') lines.at(-1)?.push({ text, className })
      }
  }
}

function classOf(names: unknown): string | undefined {
  const first: unknown = Array.isArray(names) ? names[0] : undefined
  return typeof first === 'string' ? CLASSES[first.replace(/^hljs-/, '')] : undefined
}
