import { expect, test } from 'vitest'
import { asOf, closedAtFirst, rowOf, statuses, worst, type Row, type TraceView } from './model'

const at = (s: number) => new Date(1_800_000_000_000 + s * 1000).toISOString()
const row = (id: string, depth: number, more: Partial<Row> = {}): Row => ({ id, depth, kind: 'task', title: id, ...more }) as Row

test('a trace as of a moment', () => {
  const v = {
    state: 'failed',
    ended: at(30),
    rows: [
      row('run', 0, { kind: 'run', state: 'failed', ready: at(0), started: at(0), ended: at(30) }),
      row('a', 1, { state: 'succeeded', ready: at(0), started: at(1), ended: at(5) }),
      row('b', 1, { state: 'failed', ready: at(5), started: at(6), ended: at(30), failure: 'no', attempts: 2 }),
      row('b#2', 2, { kind: 'attempt', state: 'failed', ready: at(20), started: at(20), ended: at(30) }),
      row('ask', 1, { kind: 'approval', state: 'succeeded', ready: at(2), started: at(2), ended: at(12) }),
      row('c', 1, { state: 'skipped', ready: at(30), ended: at(30) }),
      row('mail', 1, { kind: 'mail', state: 'succeeded', started: at(30), ended: at(30) }),
    ],
  } as TraceView
  const then = asOf(v, Date.parse(at(10)))
  expect(then.ended).toBeUndefined()
  expect((then.rows ?? []).map((r) => [r.id, r.state])).toEqual([
    ['run', 'running'],
    ['a', 'succeeded'],
    ['b', 'running'],
    ['ask', 'waiting'],
    ['c', 'pending'],
  ])
  expect(then.rows!.find((r) => r.id === 'b')!.failure).toBeUndefined()
  expect(asOf(v, Date.parse(at(40))).rows).toEqual(v.rows)
})

test('how tasks of a plan stand', () => {
  const s = statuses(
    [{ id: 'a', state: 'succeeded' }, { id: 'each', counts: { succeeded: 2, failed: 1 } }, { id: 'later' }],
    [row('x', 1, { run: 'run_1', task: 'a', state: 'succeeded', started: at(1), ended: at(3), attempt: 2, attempts: 2 })],
    'run_1',
  )
  expect(s.get('a')).toEqual({ state: 'succeeded', note: 'attempt 2 of 2', started: Date.parse(at(1)), ended: Date.parse(at(3)) })
  expect(s.get('each')).toEqual({ state: 'failed', counts: { succeeded: 2, failed: 1 } })
  expect(worst({})).toBe('pending')
  expect(s.get('later')!.state).toBe('pending')
})

test('large groups are closed at first, unless something in them failed', () => {
  const rows = [row('run', 0)]
  for (const g of ['good', 'bad', 'small']) {
    rows.push(row(g, 1))
    for (let i = 0; i < (g === 'small' ? 30 : 31); i++) rows.push(row(`${g}${i}`, 2, { state: g === 'bad' && i === 3 ? 'failed' : 'succeeded' }))
  }
  expect([...closedAtFirst(rows)]).toEqual(['good'])
})

test('rowOf', () => {
  expect([1, 4, 9, 20].map((p) => rowOf([1, 4, 9], p))).toEqual([0, 1, 2, 2])
  expect(rowOf([], 3)).toBe(0)
})
