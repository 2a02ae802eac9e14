import { describe, expect, test } from 'vitest'
import type { Schema } from '../schema'
import { at, bounds, byField, enumOf, filled, here, nameOf, number, ordered, pathOf, put, start, unfilled, widgetOf } from './model'

test.each<[Schema, string]>([
  [{ type: 'string' }, 'text'],
  [{ type: 'string', maxLength: 1000 }, 'lines'],
  [{ type: 'integer' }, 'number'],
  [{ type: ['null', 'number'] }, 'number'],
  [{ type: 'boolean' }, 'check'],
  [{ enum: ['a', 'b'] }, 'radio'],
  [{ enum: ['a', 'b', 'c', 'd', 'e'] }, 'select'],
  [{ enum: ['a name that is so long that it needs a line'] }, 'select'],
  [{ oneOf: [{ const: 1, title: 'One' }, { const: 2 }] }, 'radio'],
  [{ const: 'x' }, 'fixed'],
  [{ properties: { a: {} } }, 'object'],
  [{ type: 'array', items: { type: 'string' } }, 'list'],
  [{ type: 'object', additionalProperties: { type: 'string' } }, 'map'],
  [{ type: 'object' }, 'json'],
  [{}, 'json'],
])('widgetOf(%j) = %s', (s, want) => expect(widgetOf(s)).toBe(want))

test('enumOf takes the titles of constants', () => {
  expect(enumOf({ oneOf: [{ const: 1, title: 'One' }, { const: 2 }] })).toEqual([
    { value: 1, label: 'One' },
    { value: 2, label: '2' },
  ])
  expect(enumOf({ anyOf: [{ type: 'string' }, { const: 2 }] })).toBeUndefined()
})

describe('start', () => {
  const s: Schema = {
    type: 'object',
    properties: { a: { default: 1 }, b: { type: 'string' }, c: { properties: { d: { default: 2 }, e: {} } }, f: { properties: { g: {} } }, k: { const: 'K' }, r: { $ref: '#/$defs/r' } },
    $defs: { r: { default: 'R' } },
  }
  test('takes defaults, deep', () => expect(start(s, undefined)).toEqual({ a: 1, c: { d: 2 }, k: 'K', r: 'R' }))
  test('keeps what is given', () => expect(start(s, { a: 5, c: { e: 1 }, x: 1 })).toEqual({ a: 5, c: { d: 2, e: 1 }, k: 'K', r: 'R', x: 1 }))
})

test('put changes a copy', () => {
  const v = { a: [{ b: 1 }, { b: 2 }], c: 3 }
  expect(put(v, ['a', 1, 'b'], 9)).toEqual({ a: [{ b: 1 }, { b: 9 }], c: 3 })
  expect(put(v, ['c'], undefined)).toEqual({ a: v.a })
  expect(put(v, ['a', 0], undefined)).toEqual({ a: [{ b: 2 }], c: 3 })
  expect(put(undefined, ['x', 'y'], 1)).toEqual({ x: { y: 1 } })
  expect(v).toEqual({ a: [{ b: 1 }, { b: 2 }], c: 3 })
  expect(at(v, ['a', 1, 'b'])).toBe(2)
  expect(at(v, ['c', 'd'])).toBeUndefined()
})

test.each([
  ['', undefined],
  [' 12 ', 12],
  ['1,5', 1.5],
  ['1e3', 1000],
  ['two', 'two'],
])('number(%j) = %j', (text, want) => expect(number(text)).toBe(want))

test('filled leaves out what was not filled in', () => {
  expect(filled({ a: '', b: undefined, c: [undefined, '', 'x'], d: { e: '' }, f: false, g: 0 })).toEqual({ c: ['x'], d: {}, f: false, g: 0 })
})

test.each([
  ['body.params.cpu', 'cpu'],
  ['params.disks[0].gb', 'disks.0.gb'],
  ['body.inputs/a/0/b', 'a.0.b'],
  ['network', 'network'],
  ['body.form.window', 'window'],
  ['parameters', 'parameters'],
  [undefined, ''],
])('here(%j) = %j', (location, want) => expect(here(location)).toBe(want))

test('problems go to their fields, the rest on top', () => {
  const s: Schema = { properties: { cpu: { type: 'integer' }, disks: { type: 'array', items: { properties: { gb: {} } } } } }
  const p = (location: string) => ({ location, message: 'm' })
  const by = byField([p('body.params.cpu'), p('disks[1].gb'), p('disks[1].colour'), p('title')], s)
  expect([...by].map(([k, v]) => [k, v.length])).toEqual([
    ['cpu', 1],
    ['disks.1.gb', 1],
    ['', 2],
  ])
})

test('words', () => {
  expect(nameOf({}, 'memory_gb')).toBe('Memory gb')
  expect(nameOf({}, 'diskSize')).toBe('Disk size')
  expect(nameOf({ title: 'Memory' }, 'memory_gb')).toBe('Memory')
  expect([bounds({ minimum: 1, maximum: 32 }), bounds({ minimum: 20 }), bounds({ maximum: 5, multipleOf: 5 }), bounds({})]).toEqual(['1 to 32', 'at least 20', 'at most 5, in steps of 5', ''])
})

test('a missing field is found at its place', () => {
  expect(pathOf({ location: 'body.params', message: '"name" is missing' })).toBe('name')
  expect(pathOf({ location: 'body.params.disk', message: '"gb" is missing' })).toBe('disk.gb')
  const s: Schema = { required: ['a', 'k', 'o'], properties: { a: {}, b: {}, k: { const: 1 }, o: { required: ['x'], properties: { x: {} } } } }
  expect(unfilled(s, { a: '' }).map((p) => p.location)).toEqual(['a', 'o.x'])
  expect(unfilled(s, { a: 0, o: { x: false } })).toEqual([])
})

test('what is required is asked first', () => {
  const s: Schema = { required: ['name', 'net'], properties: { cpu: {}, name: {}, net: {}, top: { 'x-order': 1 } } }
  expect(ordered(s).map(([k]) => k)).toEqual(['top', 'name', 'net', 'cpu'])
})
