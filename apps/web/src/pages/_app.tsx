import '../styles/app.css'
import type { AppProps } from 'next/app'
import dynamic from 'next/dynamic'
import Head from 'next/head'
import { useRouter } from 'next/router'
import { useEffect } from 'react'
import { RelayProvider } from '../relay/relay-provider.tsx'
import { trpc } from '../relay/trpc.ts'
import { applyAppearance } from '../settings/appearance.ts'
import { Shell } from '../shell/shell.tsx'

const Toasts = dynamic(() => import('../ui/toasts.tsx').then((m) => m.Toasts), { ssr: false })

function App({ Component, pageProps }: AppProps) {
  const { pathname } = useRouter()
  useEffect(applyAppearance, [])
  return (
    <>
      <Head>
        <title>AI Orchestration</title>
        <link key="icon" rel="icon" href="/icon.svg" type="image/svg+xml" />
        <meta
          name="viewport"
          content="width=device-width, initial-scale=1, viewport-fit=cover, interactive-widget=resizes-content"
        />
      </Head>
      {pathname === '/login' ? (
        <Component {...pageProps} />
      ) : (
        <RelayProvider>
          <Shell>
            <Component {...pageProps} />
          </Shell>
        </RelayProvider>
      )}
      <Toasts />
    </>
  )
}

export default trpc.withTRPC(App)
