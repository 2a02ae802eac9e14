import { expect, test } from 'vitest'
import { headline, ordered, planOf, valueOf } from './model'

const change = (address: string, action: string) => ({ address, type: 'vm', action })

test('what is destroyed comes first', () => {
  expect(ordered([change('a', 'create'), change('b', 'update'), change('c', 'delete'), change('d', 'replace'), change('e', 'create')]).map((c) => c.address)).toEqual(['c', 'd', 'b', 'a', 'e'])
})

test('a plan in a line', () => {
  expect(headline({ summary: { add: 3, change: 0, destroy: 1 }, changes: [] })).toBe('1 to destroy, 3 to create')
  expect(headline({ summary: { add: 0, change: 0, destroy: 0, drifted: 2 }, changes: [] })).toBe('nothing to change; 2 changed in the world since')
})

test('only what is a plan is one', () => {
  expect(planOf(undefined)).toBeUndefined()
  expect(planOf({ summary: 'all well' })).toBeUndefined()
  expect(planOf({ summary: { add: 1, change: 0, destroy: 0 } })?.changes).toEqual([])
})

test('values that are not to be seen', () => {
  expect(valueOf({ path: 'x', before: 'old', after: 'new' }, 'after')).toBe('new')
  expect(valueOf({ path: 'x', unknown: true }, 'after')).toBe('known once it is applied')
  expect(valueOf({ path: 'x', sensitive: true, before: 'old' }, 'before')).toBe('kept from you')
  expect(valueOf({ path: 'x', after: { size: 8 } }, 'after')).toBe('{"size":8}')
})
