declare namespace NodeJS {
  interface ProcessEnv {
    /** Relay address baked into a build for a CDN or Android, such as wss://relay.example/ws; same origin when absent. */
    readonly NEXT_PUBLIC_RELAY_URL?: string
  }
}
