import type { NextConfig } from 'next'
import { PHASE_DEVELOPMENT_SERVER } from 'next/constants.js'

/** Where `next dev` finds the relay; a build talks to its own origin. */
const DEV_RELAY = 'http://localhost:3000'

export default function config(phase: string): NextConfig {
  const shared: NextConfig = {
    reactStrictMode: true,
    poweredByHeader: false,
    // Workspace packages export TypeScript sources.
    transpilePackages: ['@ai-orchestration/protocol', '@ai-orchestration/sdk'],
    images: { unoptimized: true },
    // `pnpm check` type-checks with the same tsc as everything else.
    typescript: { ignoreBuildErrors: true },
    devIndicators: false,
  }
  if (phase !== PHASE_DEVELOPMENT_SERVER) return { ...shared, output: 'export' }
  return {
    ...shared,
    rewrites: async () => [
      { source: '/trpc/:path*', destination: `${DEV_RELAY}/trpc/:path*` },
      { source: '/health', destination: `${DEV_RELAY}/health` },
    ],
  }
}
