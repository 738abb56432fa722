import {
  FileText,
  FolderInput,
  Globe,
  Lightbulb,
  type LucideIcon,
  Pencil,
  Search,
  Terminal,
  Trash2,
  Wrench,
} from 'lucide-react'
import { inertText } from '../code/inert-text.ts'
import type { EntryOf } from './rows.ts'

/** What a tool call shows in one line. */
export interface ToolFace {
  icon: LucideIcon
  verb: string
  /** The command, path or words it is about; monospaced unless it is prose. */
  about: string
  isProse: boolean
}

const KINDS: Readonly<Record<string, { icon: LucideIcon; verb: string }>> = {
  read: { icon: FileText, verb: 'Read' },
  edit: { icon: Pencil, verb: 'Edit' },
  delete: { icon: Trash2, verb: 'Delete' },
  move: { icon: FolderInput, verb: 'Move' },
  search: { icon: Search, verb: 'Search' },
  execute: { icon: Terminal, verb: 'Run' },
  think: { icon: Lightbulb, verb: 'Think' },
  fetch: { icon: Globe, verb: 'Fetch' },
}

/** Where every session's files are, inside. */
const WORKSPACE = /^\/project\/[^/]+\//

/** Puts a tool call into one line; what the agent wrote is inert in it. */
export function faceOfTool(entry: EntryOf<'tool'>): ToolFace {
  const known = KINDS[entry.kind]
  const title = inertText(entry.title).replaceAll('`', '').trim()
  const about = aboutOf(entry)
  const { icon, verb } = known ?? {
    icon: Wrench,
    verb: entry.name === undefined ? 'Use a tool' : inertText(entry.name),
  }
  if (about !== undefined) return { icon, verb, about: inertText(about), isProse: false }
  const rest = title.toLowerCase().startsWith(`${verb.toLowerCase()} `) ? title.slice(verb.length + 1) : title
  return { icon, verb, about: rest === verb ? '' : rest, isProse: known === undefined || entry.kind === 'think' }
}

/** Reads and searches of one row in words, such as `Read 6 files, searched 2 times`. */
export function lookedUp(entries: readonly EntryOf<'tool'>[]): string {
  const reads = entries.filter(({ kind }) => kind === 'read').length
  const searches = entries.length - reads
  const parts = [
    reads === 0 ? '' : `read ${reads} ${reads === 1 ? 'file' : 'files'}`,
    searches === 0 ? '' : `searched ${searches === 1 ? 'once' : `${searches} times`}`,
  ].filter((part) => part !== '')
  const text = parts.join(', ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

function aboutOf({ kind, input, locations, content }: EntryOf<'tool'>): string | undefined {
  if (kind === 'execute') return textIn(input, 'command') ?? textIn(input, 'cmd')
  if (kind === 'fetch') return textIn(input, 'url')
  if (kind === 'search') return textIn(input, 'pattern') ?? textIn(input, 'query')
  const path = locations[0]?.path ?? content.find((piece) => piece.type === 'diff')?.path ?? textIn(input, 'file_path')
  return path?.replace(WORKSPACE, '')
}

function textIn(json: string | undefined, name: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json ?? 'null')
    const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
    return typeof text === 'string' && text.trim() !== '' ? text.trim() : undefined
  } catch {
    // An input that was cut is no JSON; the title says enough.
    return undefined
  }
}
