import { ended } from '../state'
import { isGroup, type GraphNode, type Status } from './model'

/** span writes a length of time in few letters: "0.4s", "18s", "1m 52s", "2h 5m", "3d 4h". */
export function span(ms: number): string {
  const s = Math.max(0, ms) / 1000
  if (s < 0.095) return Number(s.toFixed(2)) + 's'
  if (s < 9.95) return s.toFixed(1) + 's'
  const n = Math.round(s)
  if (n < 60) return n + 's'
  if (n < 3600) return `${Math.floor(n / 60)}m ${n % 60}s`
  if (n < 86400) return `${Math.floor(n / 3600)}h ${Math.floor((n % 3600) / 60)}m`
  return `${Math.floor(n / 86400)}d ${Math.floor((n % 86400) / 3600)}h`
}

/** subtitle is the second line of a card: its kind, what differs, and the time it took or takes. */
export function subtitle(n: GraphNode, s: Status | undefined, now: number): string {
  const parts: string[] = [n.use || (isGroup(n) ? 'group' : n.kind)]
  if (s?.counts && !s.note) {
    const all = Object.values(s.counts).reduce((a, b) => a + b, 0)
    const done = (s.counts.succeeded ?? 0) + (s.counts.skipped ?? 0)
    if (all > 0) parts.push(`${done} of ${all}`)
  }
  if (n.inside && !s?.counts) parts.push(`${n.inside} tasks inside`)
  if (s?.note) parts.push(s.note)
  if (s?.started) {
    if (s.ended) parts.push(span(s.ended - s.started))
    else if (!ended(s.state)) parts.push(now - s.started < 1000 ? 'now' : span(Math.floor((now - s.started) / 1000) * 1000))
  }
  return parts.join(' · ')
}
