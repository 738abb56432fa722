import type { StreamFrame } from '@ai-orchestration/protocol'

/**
 * JSON bytes per call; one frame may be larger. A quarter of what the relay takes: a key's echo waits for at most one call
 * that is under way.
 */
const CALL_BYTES_MAX = 256 * 1024
/** Frames per call; the relay takes no more. */
const CALL_FRAMES_MAX = 1_024

/** Frames on their way to the relay: in order within a stream, and the streams in turns, so that none waits for a flood. */
export class FrameQueue {
  // The stream whose turn it is stands first.
  readonly #streams = new Map<string, StreamFrame[]>()
  #wake: (() => void) | undefined

  add(frame: StreamFrame): void {
    const frames = this.#streams.get(frame.streamId)
    if (frames === undefined) this.#streams.set(frame.streamId, [frame])
    else frames.push(frame)
    this.#wake?.()
  }

  /** Waits until there are frames and takes as many as fit into one call; none when aborted. */
  async take(signal: AbortSignal): Promise<StreamFrame[]> {
    if (this.#streams.size === 0) await this.#filled(signal)
    const taken: StreamFrame[] = []
    let bytes = 0
    for (const [streamId, frames] of this.#streams) {
      const [frame] = frames
      if (frame === undefined) continue
      bytes += Buffer.byteLength(JSON.stringify(frame))
      if (taken.length > 0 && (bytes > CALL_BYTES_MAX || taken.length === CALL_FRAMES_MAX)) break
      taken.push(frame)
      frames.shift()
      // To the end of the line, which this loop reaches again.
      this.#streams.delete(streamId)
      if (frames.length > 0) this.#streams.set(streamId, frames)
    }
    return taken
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
