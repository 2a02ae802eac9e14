import { expect, test } from 'vitest'
import { gridsOf, wordOf } from './matrix'

const cell = (datacenter: string, cluster: string, storage: string, permitted = false, reachable = true) => ({ datacenter, cluster, storage, permitted, reachable })

test('cells make a grid for each datacenter', () => {
  const grids = gridsOf([cell('b', 'c1', 's1'), cell('a', 'c2', 's1', true), cell('a', 'c1', 's2')])
  expect(grids.map((g) => [g.datacenter, g.clusters, g.storage])).toEqual([
    ['a', ['c1', 'c2'], ['s1', 's2']],
    ['b', ['c1'], ['s1']],
  ])
  expect(grids[0]!.cell('c2', 's1')?.permitted).toBe(true)
  expect(grids[0]!.cell('c1', 's1')).toBeUndefined()
})

test('what is permitted but out of reach is said', () => {
  expect(wordOf(cell('', 'c', 's'))).toBe('denied')
  expect(wordOf(cell('', 'c', 's', true, false))).toContain('out of reach')
})
