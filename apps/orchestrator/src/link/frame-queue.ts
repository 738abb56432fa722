import { LIMITS, type StreamFrame } from '@ai-orchestration/protocol'

/** Characters of data per call; one frame may be larger. A key's echo waits for at most one call that is under way. */
const CALL_CHARS_MAX = 256 * 1024
/**
 * JSON bytes per call if all of it had to be escaped, which is six bytes for a character: what the relay takes, less the
 * call around it. A bound and not a count, as to count is to encode it all once more.
 */
const CALL_BYTES_MAX = LIMITS.orchestratorPayloadMaxBytes - 4 * 1024
const ESCAPED_CHAR_BYTES = 6
/** The most that a frame is besides its data. */
const FRAME_BYTES = 160
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
    let chars = 0
    let bytes = 0
    for (const [streamId, frames] of this.#streams) {
      const [frame] = frames
      if (frame === undefined) continue
      const data = frame.type === 'closed' || frame.type === 'secrets' || !('data' in frame.item) ? '' : frame.item.data
      if (taken.length === CALL_FRAMES_MAX) break
      // Base64 needs no escapes.
      const encoded = FRAME_BYTES + (frame.type === 'exec' ? data.length : data.length * ESCAPED_CHAR_BYTES)
      const fits = chars + data.length <= CALL_CHARS_MAX && bytes + encoded <= CALL_BYTES_MAX
      if (taken.length > 0 && !fits) continue // it is the first of the next call; smaller ones of others may go with this one
      chars += data.length
      bytes += encoded
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
