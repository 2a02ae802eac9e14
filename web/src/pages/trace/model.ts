// What the timeline shows, as functions of what the server says; no React here.
import type { Schemas } from '@/api/client'
import { ended, type State } from '@/api/types'
import type { Status } from '@/views/graph/model'

export type TraceView = Schemas['TraceView']
export type Row = Schemas['TraceRow']

/** when reads a time of the API; those that are not there are NaN. */
export const when = (t: string | undefined): number => (t && !t.startsWith('0001') ? Date.parse(t) : NaN)

/** merge puts what changed into a trace: rows that are known are replaced, new ones come last inside their parent. */
export function merge(old: TraceView, delta: TraceView): TraceView {
  const rows = [...(old.rows ?? [])]
  const at = new Map(rows.map((r, i) => [r.id, i]))
  for (const r of delta.rows ?? []) {
    const i = at.get(r.id)
    const before = i === undefined ? undefined : rows[i]
    if (i !== undefined && before) {
      rows[i] = { ...r, depth: before.depth, ...(before.parent === undefined ? {} : { parent: before.parent }) }
      continue
    }
    const parent = r.parent ? rows.findIndex((x) => x.id === r.parent) : -1
    const depth = parent < 0 ? 0 : rows[parent]!.depth + 1
    const to = parent < 0 ? rows.length : endOf(rows, parent)
    rows.splice(to, 0, { ...r, depth })
    at.clear()
    rows.forEach((x, n) => at.set(x.id, n))
  }
  return { ...old, ...delta, rows }
}

/** endOf returns the index after the last row inside row i. */
export function endOf(rows: Row[], i: number): number {
  let n = i + 1
  while (n < rows.length && rows[n]!.depth > rows[i]!.depth) n++
  return n
}

/** inside puts rows that were asked for with under=ID into a trace, instead of what was inside before. */
export function inside(old: TraceView, id: string, got: Row[]): TraceView {
  const rows = old.rows ?? []
  const i = rows.findIndex((r) => r.id === id)
  if (i < 0) return old
  const base = rows[i]!.depth + 1
  return { ...old, rows: [...rows.slice(0, i + 1), ...got.filter((r) => r.id !== id).map((r) => ({ ...r, depth: base + r.depth })), ...rows.slice(endOf(rows, i))] }
}

/** Shown is a row as it is drawn. */
export interface Shown {
  row: Row
  /** It has rows inside, which are shown or not. */
  opens: boolean
  open: boolean
}

/** shown returns the rows that are drawn: not those inside closed rows, and with a filter only those in that state and what they are inside of. */
export function shown(rows: Row[], closed: ReadonlySet<string>, state: string): Shown[] {
  const keep = new Set<string>()
  if (state) {
    const path: Row[] = []
    for (const r of rows) {
      path.length = r.depth
      path[r.depth] = r
      if (r.state === state) for (const p of path) if (p) keep.add(p.id)
    }
  }
  const out: Shown[] = []
  let hidden = Infinity
  for (const [i, row] of rows.entries()) {
    if (row.depth > hidden) continue
    hidden = Infinity
    if (state && !keep.has(row.id)) continue
    const opens = (rows[i + 1]?.depth ?? 0) > row.depth
    const open = opens && !closed.has(row.id)
    if (opens && !open) hidden = row.depth
    out.push({ row, opens, open })
  }
  return out
}

/** span returns the first and the last moment of a trace; now where it goes on. */
export function span(v: TraceView, now: number): [number, number] {
  let from = when(v.started)
  let to = when(v.ended)
  for (const r of v.rows ?? []) {
    for (const t of [when(r.ready), when(r.started)]) if (t < from || Number.isNaN(from)) from = t
    if (when(r.ended) > to) to = when(r.ended)
  }
  if (Number.isNaN(to) || !ended(v.state)) to = now
  if (Number.isNaN(from)) from = to
  return [from, Math.max(to, from + 1)]
}

export interface Bar {
  left: number // percent
  width: number
  kind: 'work' | 'wait' | 'parent' | 'ghost'
}

/** bars returns what is drawn for a row between from and to. usual is how long it usually takes, in ms. */
export function bars(r: Row, opens: boolean, from: number, to: number, now: number, usual = 0): Bar[] {
  const out: Bar[] = []
  const put = (a: number, b: number, kind: Bar['kind']) => {
    if (Number.isNaN(a) || Number.isNaN(b)) return
    const left = Math.max(0, Math.min(100, (100 * (a - from)) / (to - from)))
    out.push({ left, width: Math.max(0, Math.min(100 - left, (100 * (b - a)) / (to - from))), kind })
  }
  const ready = when(r.ready)
  const started = when(r.started)
  const end = ended(r.state) ? when(r.ended) : now
  if (r.kind === 'commit' || r.kind === 'file' || r.kind === 'mail') {
    const at = [started, ready, end].find((t) => !Number.isNaN(t)) ?? NaN
    put(at, at, 'work')
    return out
  }
  const begin = Number.isNaN(started) ? ready : started
  if (r.kind === 'approval' || (r.state === 'waiting' && !opens)) {
    put(Number.isNaN(ready) ? begin : ready, end, 'wait')
    return out
  }
  if (!Number.isNaN(started) && started - ready > 50) put(ready, started, 'wait')
  if (r.state !== 'pending') put(begin, end, opens ? 'parent' : 'work')
  if (usual && !ended(r.state) && !opens && begin + usual > now) put(now, begin + usual, 'ghost')
  return out
}

/** took returns how long a row has taken, in ms; NaN where it has not begun. */
export function took(r: Row, now: number): number {
  const begin = Number.isNaN(when(r.started)) ? when(r.ready) : when(r.started)
  if (r.state === 'pending' || r.state === 'skipped') return NaN
  return (ended(r.state) ? when(r.ended) : now) - begin
}

/** kindWord says in a word what a row is: "sub-workflow", "http", "approval". */
export function kindWord(r: Row): string {
  if (r.kind === 'task' || r.kind === 'item') {
    if (r.sub || r.use?.startsWith('workflow:')) return 'sub-workflow'
    return r.use || r.kind
  }
  if (r.kind === 'run') return 'workflow'
  return r.kind
}

/** interesting returns the row that says most about where a trace stands: what failed, else what runs, else what waits. */
export function interesting(rows: Row[]): Row | undefined {
  const leaves = rows.filter((r, i) => (rows[i + 1]?.depth ?? 0) <= r.depth && (r.kind === 'task' || r.kind === 'attempt' || r.kind === 'approval' || r.kind === 'item'))
  const newest = (s: string) => leaves.findLast((r) => r.state === s)
  return newest('failed') ?? newest('running') ?? newest('waiting')
}

/** taskOf returns the run and path that a row is about, for tasks and attempts. */
export function taskOf(r: Row): { run: string; path: string; attempt: number } | null {
  if (!r.run || !r.task || r.kind === 'request' || r.kind === 'run') return null
  return { run: r.run, path: r.task, attempt: r.kind === 'attempt' ? (r.attempt ?? 0) : 0 }
}

/** planPath returns the path of a task in the definition, without items: disks[data].make is disks.make. */
export const planPath = (path: string): string => path.replace(/\[[^\]]*\]/g, '')

/** worst returns the state of a node: its own, or for one that runs many times the one that matters most. */
export function worst(n: { state?: string; counts?: Record<string, number> }): State {
  if (n.state) return n.state as State
  const c = n.counts ?? {}
  return (['failed', 'running', 'waiting', 'pending', 'cancelled', 'succeeded', 'skipped'] as const).find((s) => c[s]) ?? 'pending'
}

/** statuses says how the tasks of a plan stand: by what the plan says, with the times and attempts of the trace's rows. */
export function statuses(nodes: { id: string; state?: string; counts?: Record<string, number> }[], rows: Row[], run: string): Map<string, Status> {
  const known = new Map<string, Row>()
  for (const r of rows) if (r.run === run && r.task && r.kind !== 'attempt' && !known.has(r.task)) known.set(r.task, r)
  const out = new Map<string, Status>()
  for (const n of nodes) {
    const r = known.get(n.id)
    const s: Status = { state: worst(n) }
    if (n.counts && Object.keys(n.counts).length > 0) s.counts = n.counts
    if (r && (r.attempts ?? 0) > 1) s.note = `attempt ${r.attempt} of ${r.attempts}`
    if (r && s.state === 'waiting' && r.reason?.text) s.note = r.reason.text
    const started = when(r?.started)
    if (!Number.isNaN(started) && s.state !== 'pending') {
      s.started = started
      const end = when(r?.ended)
      if (!Number.isNaN(end) && ended(s.state)) s.ended = end
    }
    out.set(n.id, s)
  }
  return out
}

/** asOf is a trace as it was at a moment: what began later is left out, or pending where it was planned then. */
export function asOf(v: TraceView, t: number): TraceView {
  const rows: Row[] = []
  for (const r of v.rows ?? []) {
    const begin = [when(r.ready), when(r.started)].filter((x) => !Number.isNaN(x))
    const first = begin.length ? Math.min(...begin) : NaN
    const planned = r.kind === 'task' || r.kind === 'each' || r.kind === 'group' || r.kind === 'approval' || r.kind === 'more'
    if (Number.isNaN(first) || first > t) {
      if (!planned) continue
      const { started: _s, ended: _e, ready: _r, failure: _f, hint: _h, reason: _w, worker: _k, attempts: _a, ...rest } = r
      rows.push({ ...rest, ...(r.kind === 'more' ? {} : { state: 'pending' }) })
      continue
    }
    if (!ended(r.state) || when(r.ended) <= t) {
      rows.push(r)
      continue
    }
    const { ended: _e, failure: _f, hint: _h, ...rest } = r
    const began = !(when(r.started) > t)
    rows.push({ ...rest, state: r.kind === 'approval' || !began ? 'waiting' : 'running' })
  }
  const { ended: end, ...rest } = v
  return { ...rest, ...(end && when(end) <= t ? { ended: end } : { state: 'running' }), rows }
}

/** rowOf returns where a number is in a sorted list, or would be. */
export function rowOf(sorted: readonly number[], pos: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (sorted[mid]! < pos) low = mid + 1
    else high = mid
  }
  return Math.min(low, Math.max(0, sorted.length - 1))
}

/** many is from how many rows inside on a group is closed at first, unless something in it needs to be seen. */
const many = 30

/** closedAtFirst returns the groups that are too large to be shown whole at once. */
export function closedAtFirst(rows: Row[]): Set<string> {
  const children = new Map<string, number>()
  const path: string[] = []
  const keep = new Set<string>()
  for (const r of rows) {
    path.length = r.depth
    const parent = path[r.depth - 1]
    if (parent) children.set(parent, (children.get(parent) ?? 0) + 1)
    path[r.depth] = r.id
    if (r.state === 'failed') for (const p of path.slice(0, r.depth)) if (p) keep.add(p)
  }
  const top = new Set(rows.filter((r) => r.depth === 0).map((r) => r.id))
  return new Set([...children].filter(([id, n]) => n > many && !keep.has(id) && !top.has(id)).map(([id]) => id))
}
