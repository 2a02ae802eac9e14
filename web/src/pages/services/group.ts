import type { Presence } from '@/api/types'
import { groupBy } from '@/lib/group'

/** group puts instances under the name of their service, those with one that is down first. */
export function group(all: Presence[]): [string, Presence[]][] {
  const by = groupBy(all, (p) => p.name)
  const down = (of: Presence[]) => (of.some((p) => p.state !== 'up') ? 0 : 1)
  return [...by].sort(([a, x], [b, y]) => down(x) - down(y) || (a < b ? -1 : 1))
}

/** skew returns the versions that run, with how many instances have each, most first. */
export function skew(all: Presence[]): [string, number][] {
  const by = new Map<string, number>()
  for (const p of all) if (p.state === 'up') by.set(p.version, (by.get(p.version) ?? 0) + 1)
  return [...by].sort(([, x], [, y]) => y - x)
}
