import type { Model, Status } from './model'
import { isGroup } from './model'

/** The statuses by node id; a node without one is pending. */
export type Statuses = ReadonlyMap<string, Status>

/** failedPath returns what failed with all that led to it and all that waits for it; empty if nothing did. */
export function failedPath(m: Model, status: Statuses): Set<string> {
  const failed = m.nodes.filter((n) => status.get(n.id)?.state === 'failed').map((n) => n.id)
  const path = new Set<string>(failed)
  for (const along of [m.next, m.prev]) {
    const todo = [...failed]
    const done = new Set(todo)
    while (todo.length) {
      for (const n of along.get(todo.pop()!) ?? []) {
        if (done.has(n)) continue
        done.add(n)
        path.add(n)
        todo.push(n)
      }
    }
  }
  return withGroups(m, path)
}

/** withGroups adds the groups around nodes. */
function withGroups(m: Model, ids: Set<string>): Set<string> {
  for (const id of [...ids]) {
    for (let g = m.byId.get(id)?.group; g && m.byId.has(g) && !ids.has(g); g = m.byId.get(g)?.group) ids.add(g)
  }
  return ids
}

/**
 * criticalPath returns the chain of tasks that took longest, and so decided how long the run takes. A task that
 * has not started counts as one millisecond, so that the chain goes on to the end of the plan. In each group on
 * the chain the chain inside it is part of it.
 */
export function criticalPath(m: Model, status: Statuses, now: number): Set<string> {
  const took = (id: string) => {
    const s = status.get(id)
    return s?.started ? Math.max(1, (s.ended ?? now) - s.started) : 1
  }
  const inside = new Map<string, string[]>()
  for (const n of m.nodes) {
    const g = n.group && m.byId.has(n.group) ? n.group : ''
    const l = inside.get(g)
    if (l) l.push(n.id)
    else inside.set(g, [n.id])
  }
  const path = new Set<string>()
  const walk = (scope: string) => {
    const total = new Map<string, number>()
    const via = new Map<string, string>()
    let last = ''
    for (const id of inside.get(scope) ?? []) {
      // in topological order
      let before = 0
      for (const p of m.prev.get(id) ?? []) {
        const t = total.get(p)
        if (t !== undefined && t > before) {
          before = t
          via.set(id, p)
        }
      }
      total.set(id, before + took(id))
      if (last === '' || total.get(id)! > total.get(last)!) last = id
    }
    for (let id: string | undefined = last; id; id = via.get(id)) {
      path.add(id)
      const n = m.byId.get(id)!
      if (isGroup(n) && !m.shut.has(id)) walk(id)
    }
  }
  walk('')
  return path
}

/** active returns the id of the task that began last of those that run or wait; undefined if none does. */
export function active(m: Model, status: Statuses): string | undefined {
  let best: string | undefined
  let at = -1
  for (const n of m.nodes) {
    const s = status.get(n.id)
    if (!s || (s.state !== 'running' && s.state !== 'waiting')) continue
    if (isGroup(n) && !m.shut.has(n.id)) continue // what is inside it is what runs
    const rank = (s.started ?? 0) + (s.state === 'running' ? 0.5 : 0)
    if (rank > at) {
      at = rank
      best = n.id
    }
  }
  return best
}
