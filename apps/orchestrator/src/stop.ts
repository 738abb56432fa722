/**
 * Resolves when this process is asked to stop: by SIGTERM or SIGINT, or, under a supervisor, when
 * its stdin ends because the supervisor is gone. A second signal ends it at once.
 */
export async function untilStopped(isSupervised: boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    let isStopping = false
    const onSignal = () => {
      // What has begun is in the journal, and is brought to an end at the next start.
      if (isStopping) process.exit(1)
      isStopping = true
      resolve()
    }
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
    if (!isSupervised) return
    process.stdin.once('end', () => resolve())
    process.stdin.once('error', () => resolve())
    process.stdin.resume()
  })
}
