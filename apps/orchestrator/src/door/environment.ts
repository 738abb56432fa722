/** Port of the door, on the loopback of each session. */
export const DOOR_PORT = 3128
/** What an agent inside a session is told to use as its model API, and every program as its proxy. */
export const DOOR_URL = `http://127.0.0.1:${DOOR_PORT}`

const NOT_PROXIED = 'localhost,127.0.0.1,::1'

/**
 * Variables by which programs inside a session find the way out: curl, git, npm and pip each read one of them, and Node's
 * own fetch when told to. They are a convenience: who does not read them reaches nothing.
 */
export const DOOR_ENVIRONMENT: Readonly<Record<string, string>> = {
  HTTP_PROXY: DOOR_URL,
  HTTPS_PROXY: DOOR_URL,
  ALL_PROXY: DOOR_URL,
  NO_PROXY: NOT_PROXIED,
  http_proxy: DOOR_URL,
  https_proxy: DOOR_URL,
  all_proxy: DOOR_URL,
  no_proxy: NOT_PROXIED,
  NODE_USE_ENV_PROXY: '1',
}
