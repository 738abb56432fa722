import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** What a frame is made of; absent parts are as they should be. */
export interface RawFrame {
  opcode?: number
  isFinal?: boolean
  /** The three reserved bits, as 0x40, 0x20 and 0x10. */
  reserved?: number
  isMasked?: boolean
  payload?: Buffer
  /** Length that the header claims. */
  claims?: bigint
}

/** Makes the bytes of one WebSocket frame, right or wrong. */
export function frameOf(frame: RawFrame): Buffer {
  const { opcode = 1, isFinal = true, reserved = 0, isMasked = true, payload = Buffer.alloc(0) } = frame
  const length = frame.claims ?? BigInt(payload.length)
  const mask = isMasked ? randomBytes(4) : Buffer.alloc(0)
  const body = isMasked ? Buffer.from(payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))) : payload
  return Buffer.concat([
    Buffer.from([(isFinal ? 0x80 : 0) | reserved | opcode]),
    lengthOf(length, isMasked ? 0x80 : 0),
    mask,
    body,
  ])
}

/** A text frame as it should be. */
export function textFrameOf(text: string): Buffer {
  return frameOf({ payload: Buffer.from(text) })
}

function lengthOf(length: bigint, mask: number): Buffer {
  if (length < 126n) return Buffer.from([mask | Number(length)])
  const wide = length > 0xffffn
  const bytes = Buffer.alloc(wide ? 9 : 3)
  bytes[0] = mask | (wide ? 127 : 126)
  if (wide) bytes.writeBigUInt64BE(length, 1)
  else bytes.writeUInt16BE(Number(length), 1)
  return bytes
}

/** How a raw connection ended. */
export interface Closing {
  /** Of the close frame; `undefined` when there was none. */
  code: number | undefined
  reason: string
}

/** A WebSocket that sends exactly the bytes it is told to, so that it can send wrong ones. */
export class RawWebSocket implements AsyncDisposable {
  /** Text messages that came, in order. */
  readonly texts: string[] = []
  /** Resolves when the connection is closed. */
  readonly closed: Promise<Closing>
  /** The headers of the answer to the upgrade, as they came. */
  head = ''
  readonly #socket: Socket
  readonly #opened = Promise.withResolvers<void>()
  #bytes = Buffer.alloc(0)
  #closing: Closing = { code: undefined, reason: '' }

  private constructor(port: number, headers: Record<string, string>) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#socket.write(
      Object.entries({
        Host: `127.0.0.1:${port}`,
        Connection: 'Upgrade',
        Upgrade: 'websocket',
        'Sec-WebSocket-Version': '13',
        'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
        ...headers,
      }).reduce((text, [name, value]) => `${text}${name}: ${value}\r\n`, 'GET /ws HTTP/1.1\r\n') + '\r\n',
    )
    this.#socket.on('data', (data) => this.#receive(data))
    this.#socket.on('error', () => undefined) // a reset is one way to be closed
    this.closed = new Promise((resolve) => this.#socket.once('close', () => resolve(this.#closing)))
    void this.closed.then(() => this.#opened.reject(new Error(`the upgrade was refused: ${this.head}`)))
    this.#opened.promise.catch(() => undefined)
  }

  /** Connects and upgrades. @throws Error when that is refused. */
  static async open(port: number, headers: Record<string, string> = {}): Promise<RawWebSocket> {
    const socket = new RawWebSocket(port, headers)
    await socket.#opened.promise
    return socket
  }

  /** Sends bytes; resolves when they have left, or nobody takes them any more. */
  async send(bytes: Buffer): Promise<void> {
    if (!this.#socket.writable) return
    const left = new Promise<void>((resolve) => this.#socket.write(bytes, () => resolve()))
    await Promise.race([left, this.closed])
  }

  /** Resolves with true once a text message holds this, with false when the connection is closed before. */
  async hears(part: string): Promise<boolean> {
    const isHeard = () => this.texts.some((text) => text.includes(part))
    while (!isHeard() && !this.#socket.closed) await Promise.race([once(this.#socket, 'data'), this.closed])
    return isHeard()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed
  }

  #receive(data: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, data])
    if (this.head === '') {
      const end = this.#bytes.indexOf('\r\n\r\n')
      if (end === -1) return
      this.head = this.#bytes.subarray(0, end).toString('latin1')
      this.#bytes = this.#bytes.subarray(end + 4)
      if (this.head.startsWith('HTTP/1.1 101')) this.#opened.resolve()
    }
    while (this.#takeFrame());
  }

  // What the relay sends is never masked and never in fragments.
  #takeFrame(): boolean {
    const [first, second] = this.#bytes
    if (first === undefined || second === undefined) return false
    const extra = second === 126 ? 2 : second === 127 ? 8 : 0
    if (this.#bytes.length < 2 + extra) return false
    const length =
      extra === 0 ? second : extra === 2 ? this.#bytes.readUInt16BE(2) : Number(this.#bytes.readBigUInt64BE(2))
    const end = 2 + extra + length
    if (this.#bytes.length < end) return false
    const payload = this.#bytes.subarray(2 + extra, end)
    this.#bytes = this.#bytes.subarray(end)
    if ((first & 0x0f) === 1) this.texts.push(payload.toString())
    if ((first & 0x0f) === 8) {
      this.#closing = {
        code: payload.length < 2 ? undefined : payload.readUInt16BE(0),
        reason: payload.subarray(2).toString(),
      }
      this.#socket.end(frameOf({ opcode: 8, payload: payload.subarray(0, 2) }))
    }
    return true
  }
}
