import type { TaskRequest } from '@/api/types'

/** What past requests tell of an entry of the catalogue. */
export interface Past {
  used: number
  /** Of those that succeeded, in ms; undefined where none did. */
  usual: number | undefined
  /** When it was last asked for, ms since 1970. */
  last: number
}

/** past counts requests by entry. */
export function past(requests: TaskRequest[]): Map<string, Past> {
  const took = new Map<string, number[]>()
  const out = new Map<string, Past>()
  for (const r of requests) {
    const p = out.get(r.entry) ?? { used: 0, usual: undefined, last: 0 }
    p.used++
    p.last = Math.max(p.last, Date.parse(r.created))
    out.set(r.entry, p)
    if (r.state === 'succeeded' && r.ended) took.set(r.entry, [...(took.get(r.entry) ?? []), Date.parse(r.ended) - Date.parse(r.created)])
  }
  for (const [entry, all] of took) out.get(entry)!.usual = all.sort((a, b) => a - b)[Math.floor((all.length - 1) / 2)]
  return out
}
