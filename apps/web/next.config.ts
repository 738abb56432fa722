import type { NextConfig } from 'next'
import { PHASE_DEVELOPMENT_SERVER } from 'next/constants.js'

/** Port at which `next dev` finds the relay; a build talks to its own origin. */
const devRelayPort = process.env['PORT'] ?? '3000'

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
    env: { DEV_RELAY_PORT: devRelayPort },
    rewrites: async () => [
      { source: '/trpc/:path*', destination: `http://localhost:${devRelayPort}/trpc/:path*` },
      { source: '/health', destination: `http://localhost:${devRelayPort}/health` },
    ],
  }
}
