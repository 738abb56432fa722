import { z } from 'zod'

/** Longest slug, in characters: two slugs and the prefix `claude-` still fit every place that they are used as a name in. */
export const SLUG_MAX_CHARS = 40

const SLUG = /^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/

/** One sentence that says what a name may look like; shown wherever a name is refused. */
export const SLUG_RULE =
  'Use 1 to 40 lowercase letters, digits and dashes, beginning and ending with a letter or digit, such as "login-form".'

/** Tells whether a text is a valid name of a project, session or agent. */
export function isSlug(text: string): boolean {
  return SLUG.test(text)
}

/** The one rule for names of projects, sessions and agents. */
export const slugSchema = z
  .string({ error: SLUG_RULE })
  .refine(isSlug, { error: `This name is not valid. ${SLUG_RULE}` })

/**
 * Proposes a slug from any text, such as a title, a prompt or a repository's name.
 *
 * @returns a valid slug, or `undefined` when the text holds no letter or digit that could be used.
 */
export function toSlug(text: string): string | undefined {
  if (isSlug(text)) return text
  const slug = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '') // é is e with a mark: keep the e
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, SLUG_MAX_CHARS)
    .replace(/-+$/, '')
  return isSlug(slug) ? slug : undefined
}
