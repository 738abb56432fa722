import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')

const documented = new Set([...read('docs/configuration.md').matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name]) => name))

it.each(['relay', 'orchestrator', 'cli'])('docs/configuration.md names every variable that the %s reads', (app) => {
  const names = [...read(`apps/${app}/src/config.ts`).matchAll(/^ {2}([A-Z][A-Z_]+): z/gm)].map(([, name]) => name)
  expect(names.length).toBeGreaterThan(3)
  expect(names.filter((name) => !documented.has(name))).toEqual([])
})
