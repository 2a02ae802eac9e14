import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react'
import { useGet } from '@/api/hooks'
import type { Graph as Plan } from '@/api/types'
import { Button, FilterChip, Glyph, Loaded } from '@/kit'
import { useKeys } from '@/lib/keys'
import { useQueryParam, setQuery } from '@/lib/router'
import { Ribbon } from './Ribbon'

type Node = NonNullable<Plan['nodes']>[number]
type Edge = NonNullable<Plan['edges']>[number]

export interface View {
  x: number
  y: number
  zoom: number
}

/** GraphTab is the plan of a run as it stands; the server has laid it out. */
export function GraphTab({ run, at, selected, onSelect }: { run: string; at: number; selected: string; onSelect: (id: string) => void }) {
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}/graph', { path: { id: run }, ...(at ? { query: { at } } : {}) }, { placeholderData: (old) => old })
  return (
    <section className="panel" aria-label="Graph">
      <Loaded query={q} what="The plan cannot be read" rows={8}>
        {(g) => <Drawing plan={g} run={run} selected={selected} onSelect={onSelect} />}
      </Loaded>
    </section>
  )
}

/** stateOf returns the state of a node: its own, or for one that runs many times the one that matters most. */
export function stateOf(n: Node): string {
  if (n.state) return n.state
  const c = n.counts ?? {}
  return ['failed', 'running', 'waiting', 'pending', 'cancelled', 'succeeded', 'skipped'].find((s) => c[s]) ?? 'pending'
}

/** upstream returns the nodes that some lead back to, with themselves and the groups they are in. */
export function upstream(nodes: Node[], edges: Edge[], from: string[]): Set<string> {
  const before = new Map<string, string[]>()
  for (const e of edges) before.set(e.to, [...(before.get(e.to) ?? []), e.from])
  const group = new Map(nodes.map((n) => [n.id, n.group]))
  const found = new Set<string>()
  const todo = [...from]
  for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
    if (found.has(id)) continue
    found.add(id)
    todo.push(...(before.get(id) ?? []))
    const g = group.get(id)
    if (g) todo.push(g)
  }
  return found
}

function Drawing({ plan, run, selected, onSelect }: { plan: Plan; run: string; selected: string; onSelect: (id: string) => void }) {
  const nodes = plan.nodes ?? []
  const edges = plan.edges ?? []
  const [only, setOnly] = useQueryParam('only')
  const [follow, setFollow] = useState(false)
  const [view, setView] = useState<View>({ x: 16, y: 16, zoom: 1 })
  const [size, setSize] = useState({ w: 0, h: 0 })
  const box = useRef<HTMLDivElement>(null)
  const byID = useMemo(() => new Map(nodes.map((n) => [n.id, n])), [nodes])
  useLayoutEffect(() => {
    const b = box.current
    if (!b) return
    const see = () => setSize({ w: b.clientWidth, h: b.clientHeight })
    see()
    const o = new ResizeObserver(see)
    o.observe(b)
    return () => o.disconnect()
  }, [])
  const fit = useCallback(() => {
    if (!size.w) return
    const zoom = Math.max(0.15, Math.min(1, (size.w - 32) / Math.max(1, plan.width), (size.h - 64) / Math.max(1, plan.height)))
    setView({ x: Math.max(16, (size.w - plan.width * zoom) / 2), y: 16, zoom })
  }, [size.w, size.h, plan.width, plan.height])
  const fitted = useRef(false)
  useEffect(() => {
    if (fitted.current || !size.w) return
    fitted.current = true
    // What is too large to be read as a whole begins at its start.
    if (plan.width * 0.65 > size.w || plan.height * 0.5 > size.h) setView({ x: 16, y: 16, zoom: Math.max(0.65, Math.min(1, (size.w - 32) / plan.width)) })
    else fit()
  }, [size.w, fit])
  const centre = useCallback((n: Node) => setView((v) => ({ ...v, x: size.w / 2 - (n.x + n.w / 2) * v.zoom, y: size.h / 2 - (n.y + Math.min(n.h, 80) / 2) * v.zoom })), [size.w, size.h])
  const active = nodes.findLast((n) => stateOf(n) === 'running' && n.kind !== 'group') ?? nodes.find((n) => stateOf(n) === 'waiting' && n.kind !== 'group')
  useEffect(() => {
    if (follow && active) centre(active)
  }, [follow, active?.id, centre])
  const zoomBy = (f: number, cx = size.w / 2, cy = size.h / 2) =>
    setView((v) => {
      const zoom = Math.max(0.1, Math.min(2, v.zoom * f))
      return { zoom, x: cx - ((cx - v.x) * zoom) / v.zoom, y: cy - ((cy - v.y) * zoom) / v.zoom }
    })
  useEffect(() => {
    const b = box.current
    if (!b) return
    const wheel = (e: WheelEvent) => {
      e.preventDefault()
      setFollow(false)
      const r = b.getBoundingClientRect()
      if (e.ctrlKey || e.metaKey) zoomBy(Math.exp(-e.deltaY / 300), e.clientX - r.left, e.clientY - r.top)
      else setView((v) => ({ ...v, x: v.x - e.deltaX, y: v.y - e.deltaY }))
    }
    b.addEventListener('wheel', wheel, { passive: false })
    return () => b.removeEventListener('wheel', wheel)
  }, [])
  useKeys([{ keys: 'f', does: 'Follow what runs', run: () => setFollow(!follow), group: 'Page' }])
  const drag = useRef<{ x: number; y: number; id: number } | null>(null)
  const down = (e: PointerEvent) => {
    if (e.button === 0 && !(e.target as HTMLElement).closest('button')) {
      drag.current = { x: e.clientX, y: e.clientY, id: e.pointerId }
      e.currentTarget.setPointerCapture(e.pointerId)
    }
  }
  const move = (e: PointerEvent) => {
    const d = drag.current
    if (!d || d.id !== e.pointerId) return
    setFollow(false)
    const [dx, dy] = [e.clientX - d.x, e.clientY - d.y]
    drag.current = { ...d, x: e.clientX, y: e.clientY }
    setView((v) => ({ ...v, x: v.x + dx, y: v.y + dy }))
  }
  const bright = useMemo(() => {
    if (only === 'failed') return upstream(nodes, edges, nodes.filter((n) => stateOf(n) === 'failed').map((n) => n.id))
    if (only === 'critical') return new Set(nodes.filter((n) => n.critical).map((n) => n.id))
    return null
  }, [nodes, edges, only])
  // Only what is in sight, and a little around it, is in the page.
  const margin = 200
  const seen = { l: (-view.x - margin) / view.zoom, t: (-view.y - margin) / view.zoom, r: (size.w - view.x + margin) / view.zoom, b: (size.h - view.y + margin) / view.zoom }
  const inSight = (n: Node) => n.x < seen.r && n.x + n.w > seen.l && n.y < seen.b && n.y + n.h > seen.t
  const visible = nodes.filter(inSight)
  const lines = edges.filter((e) => {
    const [a, b] = [byID.get(e.from), byID.get(e.to)]
    return a && b && Math.min(a.x, b.x) < seen.r && Math.max(a.x + a.w, b.x) > seen.l && Math.min(a.y, b.y) < seen.b && Math.max(a.y + a.h, b.y + b.h) > seen.t
  })
  const keys = (e: KeyboardEvent) => {
    const id = (document.activeElement as HTMLElement | null)?.dataset['node']
    if (!id) return
    const near = e.key === 'ArrowRight' ? edges.filter((x) => x.from === id).map((x) => x.to) : e.key === 'ArrowLeft' ? edges.filter((x) => x.to === id).map((x) => x.from) : siblings(nodes, id, e.key)
    const n = byID.get(near[0] ?? '')
    if (!n) return
    e.preventDefault()
    if (!inSight(n) || n.x * view.zoom + view.x < 0) centre(n)
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>(`[data-node="${CSS.escape(n.id)}"]`)?.focus())
  }
  return (
    <>
      <div className="gfilters">
        <FilterChip on={follow} onChange={setFollow}>
          Follow what runs
        </FilterChip>
        <FilterChip state="failed" on={only === 'failed'} onChange={(on) => setOnly(on ? 'failed' : '')}>
          Failed path
        </FilterChip>
        <FilterChip on={only === 'critical'} onChange={(on) => setOnly(on ? 'critical' : '')}>
          Critical path
        </FilterChip>
        <span className="dim tlsum nums">{nodes.length.toLocaleString('en')} tasks in the plan</span>
      </div>
      <div ref={box} className="graph" onPointerDown={down} onPointerMove={move} onPointerUp={() => (drag.current = null)} onPointerCancel={() => (drag.current = null)} onKeyDown={keys}>
        <div className="world" style={{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.zoom})` }} role="group" aria-label="Tasks in the order of the plan; arrow keys walk along the edges">
          <svg className="edges" width="1" height="1" aria-hidden>
            {lines.map((e) => (
              <path key={`${e.from} ${e.to}`} className={`edge ${e.soft ? 'soft' : ''} ${only === 'critical' && byID.get(e.from)?.critical && byID.get(e.to)?.critical ? 'hot' : ''}`} d={curve(byID.get(e.from)!, byID.get(e.to)!)} />
            ))}
          </svg>
          {visible.map((n) => (
            <Box key={n.id} n={n} selected={selected === `${run}/${n.id}`} faint={!!bright && !bright.has(n.id)} onSelect={() => onSelect(`${run}/${n.id}`)} />
          ))}
        </div>
        <div className="gtools">
          <Button className="icon" aria-label="Larger" onClick={() => zoomBy(1.25)}>
            +
          </Button>
          <Button className="icon" aria-label="Smaller" onClick={() => zoomBy(0.8)}>
            −
          </Button>
          <Button onClick={fit}>Fit</Button>
        </div>
      </div>
      <Ribbon plan={plan} view={view} size={size} onMove={(x, y) => { setFollow(false); setView((v) => ({ ...v, x, y })) }} />
    </>
  )
}

function siblings(nodes: Node[], id: string, key: string): string[] {
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return []
  const at = nodes.findIndex((n) => n.id === id)
  const me = nodes[at]
  if (!me) return []
  const same = nodes.filter((n) => n.group === me.group && n.x === me.x)
  const to = same[same.indexOf(me) + (key === 'ArrowDown' ? 1 : -1)]
  return to ? [to.id] : []
}

const head = 40 // where edges meet a box, from its top

function curve(a: Node, b: Node): string {
  const [x1, y1, x2, y2] = [a.x + a.w, a.y + Math.min(a.h, head) / 2, b.x, b.y + Math.min(b.h, head) / 2]
  const c = Math.max(16, (x2 - x1) / 2)
  return `M${x1} ${y1}C${x1 + c} ${y1} ${x2 - c} ${y2} ${x2} ${y2}`
}

function Box({ n, selected, faint, onSelect }: { n: Node; selected: boolean; faint: boolean; onSelect: () => void }) {
  const state = stateOf(n)
  const c = n.counts ?? {}
  const total = Object.values(c).reduce((a, b) => a + b, 0)
  const done = (c['succeeded'] ?? 0) + (c['failed'] ?? 0) + (c['skipped'] ?? 0) + (c['cancelled'] ?? 0)
  const what = n.use?.startsWith('workflow:') ? `sub-workflow · ${n.use.slice(9)}` : n.kind === 'group' ? 'group' : n.use || n.kind
  const box = n.kind === 'group' || (n.kind === 'each' && n.h > 60)
  return (
    <button
      type="button"
      data-node={n.id}
      data-state={state}
      className={`gnode ${box ? 'group' : ''} ${!box && total > 1 ? 'stack' : ''} ${faint ? 'faint' : ''}`}
      aria-pressed={selected}
      style={{ left: n.x, top: n.y, width: n.w, height: n.h }}
      onClick={onSelect}
      title={n.id}
    >
      <Glyph state={state} />
      <span className="grow">
        <b>{n.title || n.id.split('.').at(-1)}</b>
        <small>{total > 0 && n.kind !== 'group' ? `${what} · ${done} of ${total}${c['failed'] ? `, ${c['failed']} failed` : ''}` : what}</small>
        <span className="vh">, {state}</span>
      </span>
    </button>
  )
}

/** AsOf is the slider of time: how a run stood after each of its events. Kept in ?at=. */
export function AsOf({ seq, at, asOf }: { seq: number; at: number; asOf: string | undefined }) {
  if (seq < 2) return null
  return (
    <label className="asof">
      <span>{at ? `After event ${at} of ${seq}${asOf ? `, ${new Date(asOf).toTimeString().slice(0, 8)}` : ''}` : 'Now'}</span>
      <input type="range" min={1} max={seq} value={at || seq} aria-label="As of event" onChange={(e) => setQuery({ at: Number(e.target.value) >= seq ? '' : e.target.value })} />
      {at > 0 && (
        <Button onClick={() => setQuery({ at: '' })}>Back to now</Button>
      )}
    </label>
  )
}
