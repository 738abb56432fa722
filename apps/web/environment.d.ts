declare namespace NodeJS {
  interface ProcessEnv {
    /** Relay address baked into a build for a CDN or Android, such as wss://relay.example/ws; same origin when absent. */
    readonly NEXT_PUBLIC_RELAY_URL?: string
    /** Port of the relay in `next dev`; set by next.config.ts. */
    readonly DEV_RELAY_PORT?: string
  }
}
