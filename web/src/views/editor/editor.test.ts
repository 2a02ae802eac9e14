import { describe, expect, test } from 'vitest'
import { suggest, taskIds, type Knowledge } from './complete'
import { contextAt } from './context'
import { marks, place } from './problems'

/** at cuts the cursor, written as |, out of a text. */
function at(text: string): [string, number] {
  const i = text.indexOf('|')
  return [text.slice(0, i) + text.slice(i + 1), i]
}

describe('contextAt', () => {
  test.each([
    ['|', 'key', [], ''],
    ['na|', 'key', [], ''],
    ['kind: Work|', 'value', ['kind'], ''],
    ['tasks:\n  a:\n    us|', 'key', ['tasks', 'a'], ''],
    ['tasks:\n  a:\n    use: htt|', 'value', ['tasks', 'a', 'use'], ''],
    ['tasks:\n  a:\n    use: http\n    with:\n      ur|', 'key', ['tasks', 'a', 'with'], 'http'],
    ['tasks:\n  a:\n    with:\n      ur|\n    use: http\n', 'key', ['tasks', 'a', 'with'], 'http'],
    ['tasks:\n  a:\n    use: http # which\n    with:\n      headers:\n        x|', 'key', ['tasks', 'a', 'with', 'headers'], 'http'],
    ['tasks:\n  a: { use: http, with: { ur|', 'key', ['tasks', 'a', 'with'], 'http'],
    ['tasks:\n  a: { use: http, with: { method: G|', 'value', ['tasks', 'a', 'with', 'method'], 'http'],
    ['tasks:\n  a: { us|', 'key', ['tasks', 'a'], ''],
    ['tasks:\n  a:\n    use: http\n    with: { ur|', 'key', ['tasks', 'a', 'with'], 'http'],
    ['tasks:\n  a:\n    needs: [b, c|', 'value', ['tasks', 'a', 'needs', '[]'], ''],
    ['tasks:\n  a:\n    needs:\n      - c|', 'key', ['tasks', 'a', 'needs', '[]'], ''],
    ['kind: A\nname: x\n---\nna|', 'key', [], ''],
    ['tasks:\n  a:\n    use: x\n  b:\n    wh|', 'key', ['tasks', 'b'], ''],
  ] as const)('%j', (text, kind, path, use) => {
    expect(contextAt(...at(text))).toMatchObject({ kind, path: [...path], use })
  })
  test.each(['# a note|', 'a: "text|', 'handler: |\n  some te\u0001'.replace('|', '>').replace('\u0001', '|')])('nothing in %j', (text) => {
    expect(contextAt(...at(text)).kind).toBe('none')
  })
  test('in an expression', () => {
    expect(contextAt(...at('a: ${{ tasks.b.o|'))).toMatchObject({ kind: 'expression', word: 'tasks.b.o' })
    expect(contextAt(...at('a: ${{ x }} |')).kind).not.toBe('expression')
  })
  test('knows the keys that are there', () => {
    expect(contextAt(...at('tasks:\n  a:\n    use: x\n    |\n    when: y\n  b:\n    title: z\n')).siblings).toEqual(['use', 'when'])
  })
  test('never fails, wherever the cursor is', () => {
    const text = 'kind: Workflow\ninputs: {type: object, properties: {a: {type: string}}}\ntasks:\n  a:\n    - b: "x\n  ? q\n\t- [1, {2: ]\n---\nx: |\n   y'
    for (let i = 0; i <= text.length; i++) contextAt(text, i)
  })
})

const know: Knowledge = {
  workflows: ['vm.build'],
  types: [
    {
      name: 'http',
      title: 'Call',
      with: { type: 'object', required: ['url'], properties: { method: { enum: ['GET', 'POST'], default: 'GET' }, url: { type: 'string' }, headers: { type: 'object' } } },
      out: { type: 'object', properties: { status: { type: 'integer' }, body: {} } },
    },
  ],
  schema: {
    type: 'object',
    properties: { kind: { const: 'Workflow' }, name: {}, tasks: { $ref: '#/$defs/tasks' } },
    $defs: {
      tasks: { type: 'object', patternProperties: { '^[a-z]': { $ref: '#/$defs/task' } } },
      task: { anyOf: [{ required: ['use'], properties: { use: { type: 'string' }, with: {}, onError: { enum: ['fail', 'continue'] }, waves: { description: 'not available in this version' } } }, { properties: { tasks: { $ref: '#/$defs/tasks' } } }] },
    },
  },
}
const labels = (text: string) => suggest(...at(text), know)?.options.map((o) => o.label)

test.each([
  ['|', ['kind', 'name', 'tasks']],
  ['kind: |', ['Workflow']],
  ['tasks:\n  a:\n    |', ['use', 'with', 'onError', 'tasks']],
  ['tasks:\n  a:\n    tasks:\n      b:\n        use: http\n        onError: |', ['fail', 'continue']],
  ['tasks:\n  a:\n    use: |', ['http', 'workflow:vm.build']],
  ['tasks:\n  a:\n    use: http\n    with:\n      url: x\n      |', ['method', 'headers']],
  ['tasks:\n  a: {use: http, with: {method: |', ['GET', 'POST']],
  ['tasks:\n  a:\n    use: http\n  b:\n    needs: [|', ['a', 'b']],
  ['inputs:\n  properties:\n    one: {type: string}\n    two:\n      type: object\ntasks:\n  a:\n    when: ${{ inputs.|', ['one', 'two']],
  ['tasks:\n  a:\n    use: http\n  b:\n    with:\n      x: ${{ tasks.|', ['a', 'b']],
  ['tasks:\n  a: {use: http}\n  b:\n    with:\n      x: ${{ tasks.a.out.|', ['status', 'body']],
])('suggest %j', (text, want) => expect(labels(text)).toEqual(want))

test('taskIds finds tasks in groups, and no inputs', () => {
  const text = 'inputs:\n  properties:\n    tasks:\n      type: array\ntasks:\n  a: { use: http }\n  g:\n    tasks:\n      b:\n        use: noop\nfinally:\n  c: { use: mail }\n'
  expect(taskIds(text)).toEqual([
    { id: 'a', use: 'http' },
    { id: 'g', use: '' },
    { id: 'b', use: 'noop' },
    { id: 'c', use: 'mail' },
  ])
})

test('place reads a line and a column', () => {
  expect(place('vm.yaml:12:9')).toEqual({ line: 12, column: 9 })
  expect(place('vm.yaml:12')).toEqual({ line: 12, column: 1 })
  expect(place('body.files')).toBeUndefined()
  expect(place(undefined)).toBeUndefined()
})

test('marks cover the word at a place, and stay inside the text', () => {
  const text = 'a: b\ncc: dd\n'
  const m = (location: string) => {
    const x = marks(text, [{ location, message: 'm' }])[0]!
    return [x.from, x.to]
  }
  expect(m('x:2:5')).toEqual([9, 11])
  expect(m('x:99:1')).toEqual([12, 12].map((v, i) => (i === 0 ? 12 : v)))
  expect(m('nowhere')).toEqual([0, 1])
})
