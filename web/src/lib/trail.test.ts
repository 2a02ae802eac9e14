import { expect, test } from 'vitest'
import { part, withPart, words } from './trail'

test('the parts of a query', () => {
  expect(words('  disk "two words" trace:4bf9 ')).toEqual(['disk', '"two words"', 'trace:4bf9'])
  expect(part('a state:failed b', 'state')).toBe('failed')
  expect(part('"state:failed"', 'state')).toBe('')
  expect(withPart('a state:failed b', 'state', 'running')).toBe('a b state:running')
  expect(withPart('state:failed', 'state', '')).toBe('')
  expect(withPart('"x y" z', 'after', '2h')).toBe('"x y" z after:2h')
})
