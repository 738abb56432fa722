import { DOOR_PORT } from './environment.ts'

/** Where an agent tells how it stands; what it stands at follows. */
export const REPORT_PATH = '/.aio/attention/'
/** So much of what a hook is given on stdin is passed on, in bytes; the conversation is named at its beginning. */
export const REPORT_BYTES_MAX = 2_000

/** What an agent can say of itself. */
export type Report = 'idle' | 'working' | 'needs_input' | 'done' | 'failed'

/** Placeholders of `agents.toml` for the command lines by which an agent's own hooks tell how it stands. */
export function reportCommands(): Record<string, string> {
  return {
    reportStarted: commandFor('idle', 0),
    reportIdle: commandFor('idle'),
    reportWorking: commandFor('working'),
    reportNeedsInput: commandFor('needs_input'),
    reportDone: commandFor('done'),
    reportFailed: commandFor('failed'),
  }
}

/**
 * bash opens connections itself, and curl may not be there. It needs no secret: the door belongs to one session, and
 * whoever is inside can lie about that one only. A hook must neither fail nor last, so nothing is made of errors.
 */
function commandFor(report: Report, bytes = REPORT_BYTES_MAX): string {
  const head = `POST ${REPORT_PATH}${report} HTTP/1.1\\r\\nhost: door\\r\\nconnection: close\\r\\ncontent-length: %d\\r\\n\\r\\n%s`
  const script = [
    'LC_ALL=C',
    `IFS= read -r -d "" -n ${bytes} -t 2 body`,
    `exec 3<>/dev/tcp/127.0.0.1/${DOOR_PORT} || exit 0`,
    `printf "${head}" "\${#body}" "$body" >&3`,
    'cat >/dev/null',
    'read -r -t 2 <&3',
    'exit 0',
  ].join('; ')
  return `bash -c '${script}' 2>/dev/null || true`
}
