import type { Schemas } from '@/api/client'

export type Cell = Schemas['Cell']

/** Grid is a matrix to be drawn: a row for each cluster, a column for each storage, of one datacenter. */
export interface Grid {
  datacenter: string
  clusters: string[]
  storage: string[]
  cell: (cluster: string, storage: string) => Cell | undefined
}

/** gridsOf sorts cells into grids, one for each datacenter. */
export function gridsOf(cells: Cell[]): Grid[] {
  const names = [...new Set(cells.map((c) => c.datacenter ?? ''))].sort()
  return names.map((datacenter) => {
    const mine = cells.filter((c) => (c.datacenter ?? '') === datacenter)
    const by = new Map(mine.map((c) => [`${c.cluster}\n${c.storage}`, c]))
    return {
      datacenter,
      clusters: [...new Set(mine.map((c) => c.cluster))].sort(),
      storage: [...new Set(mine.map((c) => c.storage))].sort(),
      cell: (cluster, storage) => by.get(`${cluster}\n${storage}`),
    }
  })
}

/** wordOf says what holds for a cell. */
export function wordOf(c: Cell): string {
  if (!c.permitted) return 'denied'
  return c.reachable ? 'permitted' : 'permitted, but out of reach'
}
