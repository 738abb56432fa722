/** Values for the placeholders of `agents.toml`. */
export type Placeholders = Readonly<Record<string, string>>

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

/** Puts values in for `{name}`; what is no placeholder stays as it is, and values are not looked into again. */
export function fill(text: string, values: Placeholders): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? whole) : whole,
  )
}

/** Fills every string of a JSON value, keys included. */
export function fillJson(value: Json, values: Placeholders): Json {
  if (typeof value === 'string') return fill(value, values)
  if (Array.isArray(value)) return value.map((entry) => fillJson(entry, values))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [fill(key, values), fillJson(entry, values)]))
}
