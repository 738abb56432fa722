/** Holds the import table of docs/architecture.md: which room may import which. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

interface Rule {
  folder: string
  /** Packages of ours that may be imported at run time. */
  may: string[]
  /** Packages of ours of which only types may be imported, and the one file that may. */
  typesOnly?: { name: string; file: string }
  /** Other packages that may not be imported. */
  mayNot?: RegExp
}

const root = join(import.meta.dirname, '..')
const RULES: Rule[] = [
  { folder: 'packages/protocol', may: [], mayNot: /^(?!zod$|vitest$|node:|fast-check$)/ },
  {
    folder: 'packages/sdk',
    may: ['protocol'],
    typesOnly: { name: 'relay', file: 'src/router.ts' },
    mayNot: /^(@trpc\/(?!client|server)|zx|ws$|next)/,
  },
  { folder: 'apps/relay', may: ['protocol'], mayNot: /^(zx|next|@trpc\/next)/ },
  { folder: 'apps/orchestrator', may: ['protocol', 'sdk'], mayNot: /^(@trpc\/|ws$|next)/ },
  { folder: 'apps/web', may: ['protocol', 'sdk'], mayNot: /^(zx|ws$|pino)/ },
  { folder: 'apps/cli', may: ['protocol', 'sdk'], mayNot: /^(@trpc\/|zx|ws$|next)/ },
  { folder: 'e2e', may: ['protocol', 'sdk'] },
  { folder: 'bench', may: ['protocol', 'sdk', 'e2e'] },
  { folder: 'soak', may: ['sdk', 'e2e'] },
]

const IMPORT = /^\s*(?:import|export)\s+(type\s+)?(?:[^'"]*?\sfrom\s+)?['"]([^'"]+)['"]/gm

function files(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (['node_modules', 'dist', 'out', '.next'].includes(entry.name)) return []
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return files(path)
    return /\.(ts|tsx|js|mjs)$/.test(entry.name) ? [path] : []
  })
}

function check(rule: Rule, file: string): string[] {
  const inside = relative(join(root, rule.folder), file)
  const isTest = /\.test\.tsx?$/.test(file) || inside.startsWith('test/')
  const problems: string[] = []
  for (const [, isType, specifier] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
    if (specifier === undefined) continue
    const own = /^@ai-orchestration\/([a-z0-9]+)/.exec(specifier)?.[1]
    if (own !== undefined && !rule.may.includes(own)) {
      const { typesOnly } = rule
      const isAllowed = typesOnly?.name === own && typesOnly.file === inside && isType !== undefined
      if (!isAllowed) problems.push(`${relative(root, file)} imports ${specifier}, which ${rule.folder} may not`)
    }
    if (specifier.startsWith('.') && relative(join(root, rule.folder), join(file, '..', specifier)).startsWith('..'))
      problems.push(`${relative(root, file)} reaches out of ${rule.folder} with ${specifier}`)
    const isForeign = own === undefined && !specifier.startsWith('.') && !specifier.startsWith('node:')
    if (isForeign && !isTest && rule.mayNot?.test(specifier) === true)
      problems.push(`${relative(root, file)} imports ${specifier}, which ${rule.folder} may not`)
  }
  return problems
}

const problems = RULES.flatMap((rule) => files(join(root, rule.folder)).flatMap((file) => check(rule, file)))
for (const problem of problems) console.error(problem)
if (problems.length > 0) {
  console.error(`${problems.length} imports break the table in docs/architecture.md.`)
  process.exit(1)
}
