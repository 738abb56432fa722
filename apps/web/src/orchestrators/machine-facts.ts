const GIB = 1024 ** 3

/** Memory for people, such as `64 GB`. */
export function gigabytes(bytes: number): string {
  const value = bytes / GIB
  return value >= 10 ? `${Math.round(value)} GB` : `${value.toFixed(1)} GB`
}
