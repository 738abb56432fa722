import { readdir, readFile, writeFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

/** Files worth compressing; fonts and pictures are compressed already. */
const TEXT = new Set(['.html', '.js', '.css', '.json', '.svg', '.txt', '.map'])
/** Below this many bytes the header costs more than compression saves. */
const MIN_BYTES = 1_024

const out = join(import.meta.dirname, '..', 'out')
const names = await readdir(out, { recursive: true })
let count = 0
for (const name of names) {
  if (!TEXT.has(extname(name))) continue
  const path = join(out, name)
  const content = await readFile(path)
  if (content.byteLength < MIN_BYTES) continue
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }),
    promisify(gzip)(content, { level: 9 }),
  ])
  await Promise.all([writeFile(`${path}.br`, br), writeFile(`${path}.gz`, gz)])
  count += 1
}
console.log(`Wrote .br and .gz beside ${count} files.`)
