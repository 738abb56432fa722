import { Head, Html, Main, NextScript } from 'next/document'

export default function Document() {
  return (
    <Html lang="en">
      <Head>
        <meta name="color-scheme" content="light dark" />
        <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#0b0c0f" />
        <meta name="theme-color" media="(prefers-color-scheme: light)" content="#f4f5f7" />
      </Head>
      <body>
        <Main />
        <NextScript />
      </body>
    </Html>
  )
}
