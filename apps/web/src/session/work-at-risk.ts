/** What removing a session would lose, as a list of titled lists. */
export interface LostWork {
  parts: { title: string; items: string[] }[]
  /** How many entries the lists leave out. */
  omitted: number
}

/** Reads the facts of a WORK_AT_RISK error, whether they stand in it directly or under `workAtRisk`. */
export function lostWorkOf(details: Record<string, unknown>): LostWork {
  const inner = details['workAtRisk'] ?? details['atRisk'] ?? details['risk']
  const facts: object = typeof inner === 'object' && inner !== null ? inner : details
  const list = (key: string): string[] => {
    const value: unknown = Reflect.get(facts, key)
    return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
  }
  const omitted: unknown = Reflect.get(facts, 'omitted')
  const parts = [
    {
      title: plural(list('commits').length, 'commit or stash', 'commits and stashes', 'not brought home'),
      items: list('commits'),
    },
    { title: plural(list('modified').length, 'file', 'files', 'changed and not committed'), items: list('modified') },
    { title: plural(list('untracked').length, 'new file', 'new files', 'not committed'), items: list('untracked') },
    {
      title: plural(list('ignored').length, 'ignored file', 'ignored files', 'not declared disposable'),
      items: list('ignored'),
    },
    { title: 'In the middle of', items: list('operations') },
  ].filter((part) => part.items.length > 0)
  return { parts, omitted: typeof omitted === 'number' ? omitted : 0 }
}

function plural(count: number, one: string, many: string, rest: string): string {
  return `${count} ${count === 1 ? one : many} ${rest}`
}
