import type { StreamFrame } from '@ai-orchestration/protocol'

/** JSON bytes per call: half of what the relay takes, so that a call never meets the limit; one frame may be larger. */
const CALL_BYTES_MAX = 512 * 1024
/** Frames per call; the relay takes no more. */
const CALL_FRAMES_MAX = 1_024

/** Frames on their way to the relay, in order. */
export class FrameQueue {
  #frames: StreamFrame[] = []
  #wake: (() => void) | undefined

  add(frame: StreamFrame): void {
    this.#frames.push(frame)
    this.#wake?.()
  }

  /** Waits until there are frames and takes as many as fit into one call; none when aborted. */
  async take(signal: AbortSignal): Promise<StreamFrame[]> {
    if (this.#frames.length === 0) await this.#filled(signal)
    let bytes = 0
    let count = 0
    for (const frame of this.#frames) {
      bytes += Buffer.byteLength(JSON.stringify(frame))
      if (count > 0 && (bytes > CALL_BYTES_MAX || count === CALL_FRAMES_MAX)) break
      count++
    }
    return this.#frames.splice(0, count)
  }

  async #filled(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#wake = undefined
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#wake = done
      signal.addEventListener('abort', done, { once: true })
    })
  }
}
