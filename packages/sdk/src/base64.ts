/** Bytes to base64, in browsers and Node alike. */
export function encodeBase64(bytes: Uint8Array): string {
  let binary = ''
  // In slices, because the arguments of one call are limited.
  for (let at = 0; at < bytes.length; at += 8_192) binary += String.fromCharCode(...bytes.subarray(at, at + 8_192))
  return btoa(binary)
}

/** Base64 to bytes, in browsers and Node alike. */
export function decodeBase64(text: string): Uint8Array {
  const binary = atob(text)
  const bytes = new Uint8Array(binary.length)
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at)
  return bytes
}
