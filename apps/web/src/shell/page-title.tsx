import Head from 'next/head'

/** The title and icon of the browser's tab; both tell how many things need a person. */
export function PageTitle({ title, needs = 0 }: { title: string; needs?: number }) {
  return (
    <Head>
      <title>{`${needs === 0 ? '' : `(${needs}) `}${title} · AI Orchestration`}</title>
      <link key="icon" rel="icon" href={needs === 0 ? '/icon.svg' : '/icon-needs.svg'} type="image/svg+xml" />
    </Head>
  )
}
