// What can be done with runs, and how many there are; without a page.
import type { Schemas } from '@/api/client'
import { ended, type Run } from '@/api/types'

const isPaused = (r: Run) => r.reason?.kind === 'paused'

/** Those of runs that can be tried again, go on, can be paused, and are paused. */
export const retriable = (all: Run[]): Run[] => all.filter((r) => r.state === 'failed' || r.state === 'cancelled')
export const cancellable = (all: Run[]): Run[] => all.filter((r) => !ended(r.state))
export const pausable = (all: Run[]): Run[] => cancellable(all).filter((r) => !isPaused(r))
export const resumable = (all: Run[]): Run[] => cancellable(all).filter(isPaused)

/** sum adds up the runs of all hours by state. */
export function sum(hours: Schemas['HourOfRuns'][]): Record<string, number> {
  const n: Record<string, number> = {}
  for (const h of hours) for (const [state, k] of Object.entries(h.states ?? {})) n[state] = (n[state] ?? 0) + k
  return n
}
