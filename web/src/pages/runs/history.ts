import type { Schemas } from '@/api/client'
import { clock } from '@/lib/format'
import type { GridCell, GridData } from '@/views/grid/model'
import type { State } from '@/views/state'

/** How the server writes states in a row of the history: a letter each. */
const letters: Record<string, State> = { p: 'pending', r: 'running', w: 'waiting', s: 'succeeded', f: 'failed', k: 'skipped', c: 'cancelled' }

/** gridOf turns the server's history, newest first, into a grid that is read from the left. */
export function gridOf(h: Schemas['HistoryGrid']): GridData {
  const runs = (h.runs ?? []).toReversed()
  const paths = h.tasks ?? []
  const today = runs.length > 0 ? Date.parse(runs.at(-1)!.created) : 0
  return {
    tasks: paths.map((path) => {
      const inside = path.replace(/^finally\./, '')
      return { path, title: inside.slice(inside.lastIndexOf('.') + 1), depth: inside.split('.').length - 1 }
    }),
    runs: runs.map((r) => ({ id: r.id, title: clock(Date.parse(r.created), today), state: r.state as State, started: Date.parse(r.created), ...(r.ended && { ended: Date.parse(r.ended) }) })),
    cell: (run, task): GridCell | undefined => {
      const r = runs[run]
      const state = letters[r?.states[task] ?? '']
      const ms = r?.took?.[task]
      return state && { state, ...(ms && { ms }) }
    },
  }
}
