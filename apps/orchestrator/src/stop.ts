/**
 * Resolves when this process is asked to stop: by SIGTERM or SIGINT, or, under a supervisor, when
 * its stdin ends because the supervisor is gone.
 */
export async function untilStopped(isSupervised: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    process.once('SIGINT', () => resolve())
    if (!isSupervised) return
    process.stdin.once('end', () => resolve())
    process.stdin.once('error', () => resolve())
    process.stdin.resume()
  })
}
