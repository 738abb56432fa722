import { z } from 'zod'
import { list, optionalText, text } from './agent-frames.ts'

const choiceSchema = z.looseObject({ const: text, title: optionalText, description: optionalText })
const propertySchema = z.looseObject({
  type: text.optional().catch(undefined),
  title: optionalText,
  description: optionalText,
  oneOf: list(choiceSchema).optional(),
  enum: list(text).optional(),
  items: z
    .looseObject({ anyOf: list(choiceSchema).optional(), enum: list(text).optional() })
    .optional()
    .catch(undefined),
})

/** A question of the agent's own, as `elicitation/create` asks it: a message and a form in the words of JSON Schema. */
export const formRequestSchema = z.looseObject({
  mode: z.literal('form'),
  message: text,
  requestedSchema: z.looseObject({ properties: z.record(z.string(), propertySchema).catch({}) }),
})
export type FormRequest = z.output<typeof formRequestSchema>

/** One thing that a form asks for. */
export const formFieldSchema = z.object({
  /** Absent when the form has no fields and only asks for consent. */
  name: z.string().optional(),
  text: z.string(),
  type: z.enum(['string', 'list', 'boolean', 'number']),
  choices: z.array(z.object({ value: z.string(), label: z.string() })),
  /** Where an answer in the person's own words goes; absent when only choices are taken. */
  ownName: z.string().optional(),
})
export type FormField = z.infer<typeof formFieldSchema>

/** What a person said to a field: one of its choices by its place, words of their own, or neither. */
export interface FieldAnswer {
  choice?: number | undefined
  text?: string | undefined
}

/** Some agents put a second field for words of one's own beside each that offers choices. */
const OWN = '_custom'
const YES_NO = [
  { value: 'true', label: 'Yes' },
  { value: 'false', label: 'No' },
]

/** What a form asks for, each to be asked of a person by itself. */
export function fieldsOf({ message, requestedSchema: { properties } }: FormRequest): FormField[] {
  const names = Object.keys(properties)
  if (names.length === 0) return [{ text: message, type: 'boolean', choices: YES_NO.slice(0, 1) }]
  return Object.entries(properties).flatMap(([name, property]) => {
    if (name.endsWith(OWN) && names.includes(name.slice(0, -OWN.length))) return []
    const choices = choicesOf(property)
    const type = typeOf(property.type)
    const ownName = names.includes(name + OWN) ? name + OWN : choices.length === 0 ? name : undefined
    const about = [property.title, property.description].filter((part) => part != null && part !== '').join(': ')
    const words = names.length === 1 || about === '' ? [message] : about === property.title ? [message, about] : [about]
    return [{ name, text: words.join(' '), type, choices, ...(ownName === undefined ? {} : { ownName }) }]
  })
}

/** What the agent is told, by what was said to each field; nothing at all is a no. */
export function formResult(fields: readonly FormField[], answers: readonly FieldAnswer[]): object {
  const content: Record<string, string | number | boolean | string[]> = {}
  let isConsent = false
  for (const [index, field] of fields.entries()) {
    const { choice, text: words } = answers[index] ?? {}
    const value = choice === undefined ? undefined : field.choices[choice]?.value
    if (value !== undefined && field.name === undefined) isConsent = true
    else if (value !== undefined && field.name !== undefined) content[field.name] = valueAs(field.type, value)
    if (words !== undefined && words !== '' && field.ownName !== undefined)
      content[field.ownName] = field.ownName === field.name ? valueAs(field.type, words) : words
  }
  const isAccepted = isConsent || Object.keys(content).length > 0
  return isAccepted ? { action: 'accept', content } : { action: 'decline' }
}

function choicesOf(property: z.output<typeof propertySchema>): FormField['choices'] {
  if (property.type === 'boolean') return YES_NO
  const titled = property.oneOf ?? property.items?.anyOf ?? []
  const plain = property.enum ?? property.items?.enum ?? []
  return [
    ...titled.map(({ const: value, title, description }) => ({
      value,
      label: [title ?? value, description].filter((part) => part != null && part !== '').join(' – '),
    })),
    ...plain.map((value) => ({ value, label: value })),
  ]
}

function typeOf(type: string | undefined): FormField['type'] {
  switch (type) {
    case 'array':
      return 'list'
    case 'boolean':
      return 'boolean'
    case 'integer':
    case 'number':
      return 'number'
    default:
      return 'string'
  }
}

function valueAs(type: FormField['type'], value: string): string | number | boolean | string[] {
  switch (type) {
    case 'string':
      return value
    case 'list':
      return [value]
    case 'boolean':
      return value === 'true'
    case 'number':
      return Number(value)
    default:
      return type satisfies never
  }
}
