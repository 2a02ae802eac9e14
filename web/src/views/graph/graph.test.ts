import { describe, expect, test } from 'vitest'
import { fit, hold, meets, opening, pan, reveal, seen, zoom } from './camera'
import { model, step, type Graph, type Status } from './model'
import { active, criticalPath, failedPath } from './path'
import { span, subtitle } from './text'

// a -> g(g.x -> g.y) -> c, a -> b -> c
const plan: Graph = {
  width: 1000,
  height: 200,
  nodes: [
    { id: 'a', kind: 'call', x: 0, y: 0, w: 176, h: 40 },
    { id: 'g', kind: 'group', x: 224, y: 0, w: 424, h: 92 },
    { id: 'g.x', kind: 'call', group: 'g', x: 236, y: 40, w: 176, h: 40 },
    { id: 'g.y', kind: 'call', group: 'g', x: 460, y: 40, w: 176, h: 40 },
    { id: 'b', kind: 'call', x: 224, y: 108, w: 176, h: 40 },
    { id: 'c', kind: 'call', x: 696, y: 0, w: 176, h: 40 },
  ],
  edges: [
    { from: 'a', to: 'g' },
    { from: 'g.x', to: 'g.y' },
    { from: 'g', to: 'c' },
    { from: 'a', to: 'b' },
    { from: 'b', to: 'c', soft: true },
  ],
}
const ran = (state: Status['state'], started: number, ended?: number): Status => ({ state, started, ended })

describe('model', () => {
  test('lists nodes so that nothing comes before what it waits for', () => {
    const m = model(plan)
    const at = new Map(m.nodes.map((n, i) => [n.id, i]))
    for (const e of m.edges) expect(at.get(e.from)!).toBeLessThan(at.get(e.to)!)
  })
  test('shuts a group: one card, with the edges of what is inside', () => {
    const m = model({ ...plan, edges: [...plan.edges, { from: 'g.y', to: 'c' }] }, new Set(['g']))
    expect(m.nodes.map((n) => n.id)).toEqual(['a', 'g', 'b', 'c'])
    expect(m.byId.get('g')).toMatchObject({ w: 176, h: 40 })
    expect(m.next.get('g')).toEqual(['c'])
  })
  test('a shut group hides what is inside an open group in it', () => {
    const deep = { ...plan, nodes: [...plan.nodes, { id: 'g.y.z', kind: 'call', group: 'g.y', x: 470, y: 60, w: 176, h: 40 }] }
    expect(model(deep, new Set(['g'])).byId.has('g.y.z')).toBe(false)
    expect(model(deep).byId.has('g.y.z')).toBe(true)
  })
  test('survives edges to nowhere and a group in itself', () => {
    const odd = { ...plan, nodes: plan.nodes.map((n) => (n.id === 'a' ? { ...n, group: 'a' } : n)), edges: [{ from: 'a', to: 'nowhere' }] }
    expect(model(odd).edges).toEqual([])
  })
  test('knows which edges lead to the next column', () => {
    const short = Object.fromEntries(model(plan).edges.map((e) => [e.from + '-' + e.to, e.short]))
    expect(short).toEqual({ 'a-g': true, 'g.x-g.y': true, 'g-c': true, 'a-b': true, 'b-c': true })
  })
})

test.each([
  ['a', 'right', 'g'],
  ['b', 'right', 'c'],
  ['c', 'left', 'g'],
  ['g.x', 'right', 'g.y'],
  ['g.x', 'left', 'g'],
  ['g.y', 'right', 'c'],
  ['g', 'down', 'g.x'],
  ['c', 'right', 'c'],
  ['g.x', 'down', 'b'],
  ['b', 'up', 'g.x'],
  ['c', 'first', 'a'],
  ['a', 'last', 'c'],
  ['gone', 'right', 'a'],
] as const)('step from %s to the %s is %s', (from, dir, want) => {
  expect(step(model(plan), from, dir)).toBe(want)
})

describe('paths', () => {
  const m = model(plan)
  test('the failed path is what led to a failure and what waits for it', () => {
    const s = new Map([['b', ran('failed', 1, 2)]])
    expect([...failedPath(m, s)].sort()).toEqual(['a', 'b', 'c'])
    expect(failedPath(m, new Map()).size).toBe(0)
  })
  test('a failure in a group shows the group', () => {
    expect(failedPath(m, new Map([['g.y', ran('failed', 1, 2)]])).has('g')).toBe(true)
  })
  test('the critical path is the chain that took longest, into the group on it', () => {
    const s = new Map([
      ['a', ran('succeeded', 0, 10)],
      ['g', ran('succeeded', 10, 100)],
      ['g.x', ran('succeeded', 10, 50)],
      ['g.y', ran('succeeded', 50, 100)],
      ['b', ran('succeeded', 10, 20)],
    ])
    expect([...criticalPath(m, s, 100)].sort()).toEqual(['a', 'c', 'g', 'g.x', 'g.y'])
    s.set('b', ran('running', 10))
    expect([...criticalPath(m, s, 5000)].sort()).toEqual(['a', 'b', 'c'])
  })
  test('active is what started last, inside of groups', () => {
    const s = new Map([
      ['g', ran('running', 90)],
      ['g.x', ran('running', 20)],
      ['b', ran('waiting', 20)],
    ])
    expect(active(m, s)).toBe('g.x')
    expect(active(m, new Map([['a', ran('succeeded', 1, 2)]]))).toBeUndefined()
  })
})

describe('camera', () => {
  const screen = { w: 800, h: 400 }
  test('zoom leaves the point under the pointer', () => {
    const c = { x: 100, y: 50, k: 1 }
    const z = zoom(c, 2, 300, 200)
    expect([z.x + 300 / z.k, z.y + 200 / z.k]).toEqual([400, 250])
    expect(zoom(c, 1e9, 0, 0).k).toBe(2)
  })
  test('pan counts in pixels of the screen', () => {
    expect(pan({ x: 0, y: 0, k: 0.5 }, 10, -10)).toEqual({ x: 20, y: -20, k: 0.5 })
  })
  test('fit shows all and is never larger than life', () => {
    const c = fit({ x: 0, y: 0, w: 4000, h: 100 }, screen)
    const v = seen(c, screen)
    expect(v.x).toBeLessThanOrEqual(0)
    expect(v.x + v.w).toBeGreaterThanOrEqual(4000)
    expect(fit({ x: 0, y: 0, w: 10, h: 10 }, screen).k).toBe(1)
  })
  test('a plan too large to read opens at its beginning', () => {
    expect(opening(40_000, 300, screen)).toMatchObject({ x: -24, k: 1 })
    expect(opening(900, 300, screen).k).toBeGreaterThan(0.6)
  })
  test('reveal moves only as far as needed', () => {
    const c = { x: 0, y: 0, k: 1 }
    expect(reveal(c, { x: 100, y: 100, w: 50, h: 50 }, screen)).toBe(c)
    expect(reveal(c, { x: 790, y: 100, w: 50, h: 50 }, screen)).toEqual({ x: 64, y: 0, k: 1 })
  })
  test('hold keeps something of the plan on the screen', () => {
    for (const x of [-1e6, 1e6]) {
      const c = hold({ x, y: x, k: 1 }, 1000, 200, screen)
      expect(meets(seen(c, screen), { x: 0, y: 0, w: 1000, h: 200 })).toBe(true)
    }
  })
})

test.each([
  [0, '0s'],
  [400, '0.4s'],
  [9_960, '10s'],
  [59_400, '59s'],
  [112_000, '1m 52s'],
  [7_500_000, '2h 5m'],
  [273_600_000, '3d 4h'],
])('span(%d) = %s', (ms, want) => expect(span(ms)).toBe(want))

test('a subtitle says the kind, what differs and the time', () => {
  const n = plan.nodes[0]!
  expect(subtitle({ ...n, use: 'http' }, { state: 'running', started: 1000, note: 'attempt 2 of 3' }, 34_200)).toBe('http · attempt 2 of 3 · 33s')
  expect(subtitle({ ...n, kind: 'each', use: 'http' }, { state: 'running', counts: { succeeded: 3, failed: 1, pending: 6 } }, 0)).toBe('http · 3 of 10')
  expect(subtitle({ ...n, use: 'http' }, undefined, 0)).toBe('http')
})
