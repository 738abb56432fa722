import { join } from 'node:path'
import { defineConfig } from 'tsdown'

const relay = join(import.meta.dirname, '../../apps/relay/src/')
const router = join(relay, 'router/')

export default defineConfig({
  entry: 'src/index.ts',
  format: 'esm',
  platform: 'neutral',
  target: 'es2023',
  fixedExtension: false,
  clean: true,
  tsconfig: '../../tsconfig.sdk.json',
  // The packages of this repository become part of the bundle; everything else stays a dependency.
  deps: { alwaysBundle: [/^@ai-orchestration\//], neverBundle: [/^node:/] },
  // TypeScript 7 writes the declarations, this bundles them.
  dts: { generator: 'tsgo' },
  // Streams are disposable; the type is not in the default library of older targets.
  banner: { dts: '/// <reference lib="esnext.disposable" />' },
  plugins: [
    {
      name: 'router-without-server',
      // The router's type names the context of its procedures, and with it every class of the relay. Clients see inputs and
      // outputs only, so in the bundled declarations whatever lies outside the router's own folder is an empty object.
      load: {
        order: 'pre',
        handler: (id) =>
          /\.d\.[cm]?ts$/.test(id) && id.startsWith(relay) && !id.startsWith(router)
            ? {
                code: 'export type Context = object\nexport type Services = object\nexport type Peer = object\n',
                moduleType: 'ts',
              }
            : undefined,
      },
    },
  ],
})
