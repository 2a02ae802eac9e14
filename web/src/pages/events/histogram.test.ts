import { expect, test } from 'vitest'
import { columnsOf, sum } from './histogram'

test('columns of a histogram', () => {
  const at = (s: number) => new Date(1_800_000_000_000 + s * 1000).toISOString()
  const { columns, most } = columnsOf({ from: at(0), to: at(20), since: at(0), buckets: [{ failed: 1, succeeded: 2, '': 1 }, {}] })
  expect(most).toBe(4)
  expect(columns[0]!.parts).toEqual([['succeeded', 2], ['failed', 1], ['', 1]])
  expect(columns[1]).toEqual({ from: Date.parse(at(10)), to: Date.parse(at(20)), total: 0, parts: [] })
  expect(sum(columns)).toBe('4 events: 2 succeeded, 1 failed')
})
