import { span } from '../graph/text'
import type { GridData, Place } from './model'

/** say puts a cell into words. */
export function say(d: GridData, p: Place, now: number): string {
  const run = d.runs[p.run]
  if (!run) return ''
  if (p.task < 0) return `${run.title}: ${run.state}${run.started !== undefined ? ', ' + span((run.ended ?? now) - run.started) : ''}`
  const c = d.cell(p.run, p.task)
  const name = d.tasks[p.task]!.title
  if (!c) return `${name}, ${run.title}: not part of that run`
  return `${name}, ${run.title}: ${c.state}${c.ms !== undefined ? ', ' + span(c.ms) : ''}${c.attempts && c.attempts > 1 ? `, ${c.attempts} attempts` : ''}`
}
