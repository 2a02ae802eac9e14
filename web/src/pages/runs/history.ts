import type { Run, Task } from '@/api/types'
import { clock } from '@/lib/format'
import type { GridCell, GridData, GridTask } from '@/views/grid/model'
import type { State } from '@/views/state'

/** gridOf joins the tasks of runs into one grid. Items of an each are left out: the each itself has their state. */
export function gridOf(runs: Run[], tasksOf: Task[][]): GridData {
  const rows = new Map<string, GridTask>()
  const cells: Map<string, GridCell>[] = []
  // The newest run decides the order; tasks that only older ones have follow behind.
  for (let i = runs.length - 1; i >= 0; i--) {
    const cell = new Map<string, GridCell>()
    for (const t of tasksOf[i] ?? []) {
      if (t.path.includes('[')) continue
      if (!rows.has(t.path)) rows.set(t.path, { path: t.path, title: t.title || t.id, depth: t.path.replace(/^finally\./, '').split('.').length - 1 })
      cell.set(t.path, { state: t.state as State, ...(t.started && t.ended && { ms: Date.parse(t.ended) - Date.parse(t.started) }), ...(t.attempt && { attempts: t.attempt }) })
    }
    cells[i] = cell
  }
  const tasks = [...rows.values()]
  return {
    tasks,
    runs: runs.map((r) => ({
      id: r.id,
      title: clock(Date.parse(r.created), Date.parse(runs.at(-1)!.created)),
      state: r.state as State,
      started: Date.parse(r.created),
      ...(r.ended && { ended: Date.parse(r.ended) }),
    })),
    cell: (run, task) => cells[run]?.get(tasks[task]?.path ?? ''),
  }
}
