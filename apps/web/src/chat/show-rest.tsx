import { sizeOf } from '../code/code-block.tsx'

/** A message longer than this many characters shows its beginning until the rest is asked for. */
export const MESSAGE_SHOWN = 24_000

/** Shows the rest of a long message. */
export function ShowRest({ chars, onShow }: { chars: number; onShow: () => void }) {
  return (
    <button type="button" onClick={onShow} className="block py-1 text-12 text-accent max-md:py-3">
      Show the rest, {sizeOf(chars)}
    </button>
  )
}
