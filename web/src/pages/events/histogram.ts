import type { Schemas } from '@/api/client'
import { states } from '@/api/types'

export interface Column {
  from: number // ms since 1970
  to: number
  total: number
  /** Counts by state, in the order of states; those without one come last. */
  parts: [string, number][]
}

/** columnsOf puts a histogram into columns to be drawn, and says how high the highest is. */
export function columnsOf(h: Schemas['Histogram']): { columns: Column[]; most: number } {
  const from = Date.parse(h.from)
  const step = (Date.parse(h.to) - from) / Math.max(1, h.buckets?.length ?? 0)
  const columns = (h.buckets ?? []).map((b, i) => {
    const parts = [...states, ''].filter((s) => b[s]).map((s): [string, number] => [s, b[s]!])
    return { from: from + i * step, to: from + (i + 1) * step, total: parts.reduce((n, [, v]) => n + v, 0), parts }
  })
  return { columns, most: Math.max(1, ...columns.map((c) => c.total)) }
}

/** sum words how much a histogram counts: "12 events: 2 failed, 3 succeeded". */
export function sum(columns: Column[]): string {
  const by = new Map<string, number>()
  for (const c of columns) for (const [s, n] of c.parts) by.set(s, (by.get(s) ?? 0) + n)
  const all = [...by.values()].reduce((a, b) => a + b, 0)
  const parts = [...by].filter(([s]) => s).map(([s, n]) => `${n} ${s}`)
  return `${all} ${all === 1 ? 'event' : 'events'}${parts.length ? ': ' + parts.join(', ') : ''}`
}
