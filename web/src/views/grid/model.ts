import type { State } from '../state'

/** One run of the history: a column. */
export interface GridRun {
  id: string
  title: string // such as "#41, 08:52"
  state: State
  started?: number // ms since 1970
  ended?: number
  href?: string
}

/** One task: a row. */
export interface GridTask {
  path: string
  title: string
  depth: number
}

/** How a task went in a run; undefined where the run has no such task. */
export interface GridCell {
  state: State
  ms?: number // how long it took
  attempts?: number
}

export interface GridData {
  runs: GridRun[] // oldest first
  tasks: GridTask[]
  cell: (run: number, task: number) => GridCell | undefined
}

export const cellSize = 12
export const cellGap = 2
export const pitch = cellSize + cellGap

/** A place in the grid; row -1 is the head, the runs themselves. */
export interface Place {
  run: number
  task: number
}

/** hit returns the place under a point of the canvas; undefined beside and between cells. */
export function hit(d: GridData, x: number, y: number): Place | undefined {
  const run = Math.floor(x / pitch),
    row = Math.floor(y / pitch)
  if (x < 0 || y < 0 || run >= d.runs.length || row > d.tasks.length) return undefined
  if (x - run * pitch >= cellSize || y - row * pitch >= cellSize) return undefined
  return { run, task: row - 1 }
}

/** moved returns where a key leads from a place; undefined for other keys. */
export function moved(d: GridData, at: Place, key: string, page: number): Place | undefined {
  const clamp = (v: number, lo: number, hi: number) => Math.min(Math.max(v, lo), hi)
  const to = (run: number, task: number) => ({ run: clamp(run, 0, d.runs.length - 1), task: clamp(task, -1, d.tasks.length - 1) })
  switch (key) {
    case 'ArrowLeft':
      return to(at.run - 1, at.task)
    case 'ArrowRight':
      return to(at.run + 1, at.task)
    case 'ArrowUp':
      return to(at.run, at.task - 1)
    case 'ArrowDown':
      return to(at.run, at.task + 1)
    case 'Home':
      return to(0, at.task)
    case 'End':
      return to(d.runs.length - 1, at.task)
    case 'PageUp':
      return to(at.run, at.task - page)
    case 'PageDown':
      return to(at.run, at.task + page)
    default:
      return undefined
  }
}
