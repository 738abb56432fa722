import { type ComponentProps, memo, type ReactNode, useMemo } from 'react'
import ReactMarkdown from 'react-markdown'
import remarkGfm from 'remark-gfm'
import { CodeBlock } from '../code/code-block.tsx'
import { inertText } from '../code/inert-text.ts'
import { Scroller } from '../ui/scroller.tsx'
import { blocksOf } from './blocks.ts'
import { safeLink } from './safe-link.ts'

const PLUGINS = [remarkGfm]

/**
 * What an agent says, as Markdown. It is data of a stranger: HTML in it is shown as the text it is, pictures are not
 * loaded but named, and links lead to web pages and mail only, with their target in sight.
 */
export const Markdown = memo(function Markdown({ text, isGrowing }: { text: string; isGrowing: boolean }) {
  // While it grows only its last block is read again.
  const blocks = useMemo(() => (isGrowing ? blocksOf(inertText(text)) : [inertText(text)]), [text, isGrowing])
  return blocks.map((block, index) => <Block key={index} text={block} />)
})

const Block = memo(function Block({ text }: { text: string }) {
  return (
    <ReactMarkdown remarkPlugins={PLUGINS} components={COMPONENTS} urlTransform={keepUrl}>
      {text}
    </ReactMarkdown>
  )
})

// The link component decides by itself, and shows what it does not follow.
function keepUrl(url: string): string {
  return url
}

const COMPONENTS: ComponentProps<typeof ReactMarkdown>['components'] = {
  a: ({ href, children }) => <Anchor href={href ?? ''}>{children}</Anchor>,
  img: ({ src, alt }) => (
    <span className="text-ink-3">
      [picture{alt === undefined || alt === '' ? '' : `: ${alt}`}
      {typeof src === 'string' && src !== '' && !src.startsWith('data:') ? `, ${src}` : ''}, not loaded]
    </span>
  ),
  h1: ({ children }) => <h3 className="mt-3 mb-1 text-16 font-semibold first:mt-0">{children}</h3>,
  h2: ({ children }) => <h3 className="mt-3 mb-1 text-15 font-semibold first:mt-0">{children}</h3>,
  h3: ({ children }) => <h4 className="mt-2 mb-1 font-semibold first:mt-0">{children}</h4>,
  h4: ({ children }) => <h5 className="mt-2 mb-1 font-semibold first:mt-0">{children}</h5>,
  h5: ({ children }) => <h6 className="mt-2 mb-1 font-semibold first:mt-0">{children}</h6>,
  p: ({ children }) => <p className="my-2 first:mt-0 last:mb-0">{children}</p>,
  ul: ({ children }) => <ul className="my-2 list-disc pl-5 marker:text-ink-3 first:mt-0 last:mb-0">{children}</ul>,
  ol: ({ children, start }) => (
    <ol start={start} className="my-2 list-decimal pl-6 marker:text-ink-3 first:mt-0 last:mb-0">
      {children}
    </ol>
  ),
  li: ({ children }) => <li className="my-0.5 [&>input]:mr-1.5">{children}</li>,
  blockquote: ({ children }) => (
    <blockquote className="my-2 border-l-2 border-line-3 pl-3 text-ink-2">{children}</blockquote>
  ),
  hr: () => <hr className="my-3 border-line-2" />,
  table: ({ children }) => (
    <Scroller className="my-2 overflow-x-auto rounded-3 border border-line-2 text-13/[20px]">
      <table className="w-full border-collapse">{children}</table>
    </Scroller>
  ),
  th: ({ children }) => (
    <th className="border-b border-line-2 bg-surface-2 px-2.5 py-1.5 text-left font-medium">{children}</th>
  ),
  td: ({ children }) => <td className="border-t border-line-1 px-2.5 py-1.5 align-top">{children}</td>,
  pre: ({ children }) => children,
  code: ({ className, children }) => {
    const text = typeof children === 'string' ? children : ''
    const language = /language-([\w+-]+)/.exec(className ?? '')?.[1]
    return language !== undefined || text.endsWith('\n') ? (
      <CodeBlock
        canCopy
        code={text}
        language={language}
        className="my-2 overflow-hidden rounded-3 border border-line-2 bg-well first:mt-0 last:mb-0"
      />
    ) : (
      <code className="rounded-1 bg-surface-3 px-1 py-px font-mono text-[13px]/[20px] tracking-[-.01em]">
        {children}
      </code>
    )
  },
}

function Anchor({ href, children }: { href: string; children: ReactNode }) {
  const link = safeLink(href)
  if (link === undefined)
    return (
      <span>
        {children}
        {href !== '' && <span className="text-ink-3"> ({href.slice(0, 200)})</span>}
      </span>
    )
  const isItself = typeof children === 'string' && (children === href || children === link.href)
  return (
    <a
      href={link.href}
      target="_blank"
      rel="noopener noreferrer"
      title={link.href}
      className="text-accent underline decoration-accent-line underline-offset-2 hover:decoration-current"
    >
      {children}
      {!isItself && <span className="text-ink-3 no-underline"> ({link.shown})</span>}
    </a>
  )
}
