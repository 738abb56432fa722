import Head from 'next/head'

/** The title of the browser's tab. */
export function PageTitle({ title }: { title: string }) {
  return (
    <Head>
      <title>{`${title} · AI Orchestration`}</title>
    </Head>
  )
}
