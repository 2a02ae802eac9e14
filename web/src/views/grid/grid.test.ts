import { expect, test } from 'vitest'
import { say } from './say'
import { hit, moved, pitch, type GridData } from './model'

const data: GridData = {
  runs: [
    { id: 'run_1', title: '#1', state: 'succeeded', started: 0, ended: 61_000 },
    { id: 'run_2', title: '#2', state: 'failed', started: 0 },
  ],
  tasks: [
    { path: 'a', title: 'Ask', depth: 0 },
    { path: 'b', title: 'Build', depth: 0 },
  ],
  cell: (run, task) => (run === 0 && task === 1 ? undefined : { state: 'succeeded', ms: 4000, attempts: task + 1 }),
}

test('hit finds the cell, and nothing between cells', () => {
  expect(hit(data, 1, 1)).toEqual({ run: 0, task: -1 })
  expect(hit(data, pitch + 1, 2 * pitch + 1)).toEqual({ run: 1, task: 1 })
  expect(hit(data, pitch - 1, 1)).toBeUndefined()
  expect(hit(data, 2 * pitch + 1, 1)).toBeUndefined()
  expect(hit(data, 1, 3 * pitch + 1)).toBeUndefined()
  expect(hit(data, -1, 1)).toBeUndefined()
})

test.each([
  ['ArrowRight', { run: 1, task: 0 }],
  ['ArrowLeft', { run: 0, task: 0 }],
  ['ArrowUp', { run: 0, task: -1 }],
  ['ArrowDown', { run: 0, task: 1 }],
  ['End', { run: 1, task: 0 }],
  ['PageDown', { run: 0, task: 1 }],
  ['x', undefined],
])('%s moves to %j', (key, want) => expect(moved(data, { run: 0, task: 0 }, key, 10)).toEqual(want))

test('a cell is said in words', () => {
  expect(say(data, { run: 0, task: -1 }, 0)).toBe('#1: succeeded, 1m 1s')
  expect(say(data, { run: 1, task: -1 }, 2000)).toBe('#2: failed, 2.0s')
  expect(say(data, { run: 1, task: 1 }, 0)).toBe('Build, #2: succeeded, 4.0s, 2 attempts')
  expect(say(data, { run: 0, task: 1 }, 0)).toBe('Build, #1: not part of that run')
})
