import type { State } from '@/api/types'

export { ended, states, type State } from '@/api/types'

/** Counts says how many are in each state. */
export type Counts = Partial<Record<State, number>>
