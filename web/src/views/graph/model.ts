import type { State } from '../state'

/** A task of the plan; x and y are its top left corner in pixels at zoom 1. The server lays it out. */
export interface GraphNode {
  id: string
  title?: string
  use?: string
  kind: string // call, group, each
  group?: string // id of the group it is in
  folded?: boolean // the server left out what is inside
  inside?: number // how many tasks that are
  x: number
  y: number
  w: number
  h: number
}

export interface GraphEdge {
  from: string
  to: string
  soft?: boolean // "to" needs it settled, not succeeded
}

/** An edge as it is drawn: short ones, to the next column, bend in the gap before it. */
export interface DrawnEdge extends GraphEdge {
  short: boolean
}

export interface Graph {
  nodes: GraphNode[]
  edges: GraphEdge[]
  width: number
  height: number
}

/** How a task stands. Times are milliseconds since 1970, on the server's clock. */
export interface Status {
  state: State
  note?: string // what differs: "attempt 2 of 3", "412 of 500", why it waits
  started?: number
  ended?: number
  counts?: Partial<Record<State, number>> // of the children of a group, the items of an each
}

export const cardWidth = 176
export const cardHeight = 40

/** A graph with what is asked of it again and again. */
export interface Model {
  width: number
  height: number
  nodes: GraphNode[] // shown ones, in topological order: what comes first is above or left
  edges: DrawnEdge[] // between shown ones
  byId: Map<string, GraphNode>
  next: Map<string, string[]> // what waits for it
  prev: Map<string, string[]> // what it waits for
  shut: ReadonlySet<string> // groups drawn as one card
}

/** isGroup reports whether a node is a box around others, as opposed to a card. */
export function isGroup(n: GraphNode): boolean {
  return n.kind === 'group' || n.h > cardHeight
}

/**
 * model indexes a graph and shuts groups: what is inside a shut group is left out, its edges are those of
 * the group, and the group is a card at the place of its box. Places do not move, so that the eye keeps them.
 */
export function model(g: Graph, shut: ReadonlySet<string> = new Set()): Model {
  const all = new Map(g.nodes.map((n) => [n.id, n]))
  const shown = new Map<string, string>() // node to what is drawn for it
  const face = (id: string): string => {
    const known = shown.get(id)
    if (known !== undefined) return known
    shown.set(id, id) // a group inside itself would never end
    const group = all.get(id)?.group
    const outer = group && all.has(group) ? face(group) : undefined
    const f = outer !== undefined && (outer !== group || shut.has(outer)) ? outer : id
    shown.set(id, f)
    return f
  }
  const byId = new Map<string, GraphNode>()
  for (const n of g.nodes) {
    if (face(n.id) !== n.id) continue
    byId.set(n.id, shut.has(n.id) ? { ...n, w: cardWidth, h: cardHeight } : n)
  }
  const next = new Map<string, string[]>()
  const prev = new Map<string, string[]>()
  const edges: DrawnEdge[] = []
  const columns = columnsOf(byId)
  const seen = new Set<string>()
  for (const e of g.edges) {
    if (!all.has(e.from) || !all.has(e.to)) continue
    const from = face(e.from),
      to = face(e.to)
    const key = from + ' ' + to
    if (from === to || seen.has(key)) continue
    seen.add(key)
    edges.push({ ...e, from, to, short: isNext(columns, byId.get(from)!, byId.get(to)!) })
    push(next, from, to)
    push(prev, to, from)
  }
  return { width: g.width, height: g.height, nodes: inOrder([...byId.values()]), edges, byId, next, prev, shut }
}

/** columnsOf lists where the columns of each group begin, from the left. */
function columnsOf(nodes: Map<string, GraphNode>): Map<string, number[]> {
  const sets = new Map<string, Set<number>>()
  for (const n of nodes.values()) {
    const xs = sets.get(n.group ?? '') ?? new Set()
    sets.set(n.group ?? '', xs.add(n.x))
  }
  return new Map([...sets].map(([g, xs]) => [g, [...xs].sort((a, b) => a - b)]))
}

/** isNext reports whether b is in the column after that of a. */
function isNext(columns: Map<string, number[]>, a: GraphNode, b: GraphNode): boolean {
  const xs = columns.get(a.group ?? '')
  return xs !== undefined && (a.group ?? '') === (b.group ?? '') && xs[xs.indexOf(a.x) + 1] === b.x
}

function push(m: Map<string, string[]>, k: string, v: string) {
  const l = m.get(k)
  if (l) l.push(v)
  else m.set(k, [v])
}

/** inOrder sorts by column, then from the top: every edge goes to a later column, so it is topological. */
function inOrder(nodes: GraphNode[]): GraphNode[] {
  return nodes.sort((a, b) => a.x - b.x || a.y - b.y || (a.id < b.id ? -1 : 1))
}

/** Towards where a key moves. */
export type Direction = 'left' | 'right' | 'up' | 'down' | 'first' | 'last'

/**
 * step returns the node that a key leads to: left and right walk the edges to the nearest neighbour, up and
 * down the column. Where no edge leads on, the nearest in the next column is taken; the same id at the border.
 */
export function step(m: Model, id: string, dir: Direction): string {
  const at = m.byId.get(id)
  const cards = m.nodes.filter((n) => !isGroup(n) || m.shut.has(n.id))
  if (cards.length === 0) return id
  if (dir === 'first' || !at) return cards[0]!.id
  if (dir === 'last') return cards[cards.length - 1]!.id
  const around = at.group !== undefined && m.byId.has(at.group) ? at.group : undefined
  const known = (ids: string[] | undefined) => (ids ?? []).map((i) => m.byId.get(i)!)
  const middle = (n: GraphNode) => n.y + Math.min(n.h, cardHeight) / 2
  const best = (ns: GraphNode[], cost: (n: GraphNode) => number) => (ns.length ? ns.reduce((a, b) => (cost(b) < cost(a) ? b : a)).id : undefined)
  const dy = (n: GraphNode) => Math.abs(middle(n) - middle(at))
  switch (dir) {
    case 'right':
      return (
        best(known(m.next.get(id)), dy) ??
        best(known(around === undefined ? undefined : m.next.get(around)), dy) ??
        best(
          cards.filter((n) => n.x > at.x),
          (n) => (n.x - at.x) * 10 + dy(n),
        ) ??
        id
      )
    case 'left':
      return (
        best(known(m.prev.get(id)), dy) ??
        around ??
        best(
          cards.filter((n) => n.x < at.x),
          (n) => (at.x - n.x) * 10 + dy(n),
        ) ??
        id
      )
    case 'down':
      return (
        best(
          cards.filter((n) => n.y > at.y && Math.abs(n.x - at.x) < cardWidth),
          (n) => n.y - at.y + Math.abs(n.x - at.x) * 4,
        ) ?? id
      )
    case 'up':
      return (
        best(
          cards.filter((n) => n.y < at.y && Math.abs(n.x - at.x) < cardWidth),
          (n) => at.y - n.y + Math.abs(n.x - at.x) * 4,
        ) ?? id
      )
  }
}
