import { z } from 'zod'

/** Levels of lists and objects in one value. JSON.stringify overflows its stack at some thousand. */
const LEVELS_MAX = 100

/** A key that would reach into every object where somebody merges carelessly. */
const POLLUTING = '__proto__'

/**
 * Any JSON value of a stranger, made harmless to pass on: without `__proto__` keys at any depth, and not nested so deep that
 * writing it again would overflow a stack. What has neither is passed on as it is, without a copy.
 */
export const plainValueSchema = z.unknown().transform((value, context): unknown => {
  try {
    return plain(value, LEVELS_MAX)
  } catch (error) {
    if (!(error instanceof TooDeep)) throw error
    context.addIssue({ code: 'custom', message: `This is nested deeper than ${LEVELS_MAX} levels.` })
    return z.NEVER
  }
})

class TooDeep extends Error {}

function plain(value: unknown, levels: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (levels === 0) throw new TooDeep()
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => plain(item, levels - 1))
    return items.every((item, index) => item === value[index]) ? value : items
  }
  const entries = Object.entries(value)
  const kept = entries
    .filter(([key]) => key !== POLLUTING)
    .map(([key, item]): [string, unknown] => [key, plain(item, levels - 1)])
  const isSame = kept.length === entries.length && kept.every(([, item], index) => item === entries[index]?.[1])
  return isSame ? value : Object.fromEntries(kept)
}
