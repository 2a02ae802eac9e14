import { expect, test } from 'vitest'
import type { Run } from '@/api/types'
import { cancellable, pausable, resumable, retriable, sum } from './choose'

const run = (state: string, reason = '') => ({ id: state + reason, state, ...(reason && { reason: { kind: reason, text: '' } }) }) as unknown as Run

test('what can be done with which of the runs that were chosen', () => {
  const all = [run('running'), run('waiting', 'paused'), run('waiting', 'approval'), run('failed'), run('cancelled'), run('succeeded')]
  const ids = (list: Run[]) => list.map((r) => r.id)
  expect(ids(retriable(all))).toEqual(['failed', 'cancelled'])
  expect(ids(cancellable(all))).toEqual(['running', 'waitingpaused', 'waitingapproval'])
  expect(ids(pausable(all))).toEqual(['running', 'waitingapproval'])
  expect(ids(resumable(all))).toEqual(['waitingpaused'])
})

test('runs by state, of all hours', () => {
  expect(sum([{ at: '', states: { failed: 1, running: 2 } }, { at: '' }, { at: '', states: { failed: 3 } }])).toEqual({ failed: 4, running: 2 })
})
