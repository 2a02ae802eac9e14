import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from 'react'
import { canvas, usePalette } from '../palette'
import { useSize } from '../size'
import { fit, meets, pan, reveal, seen, zoom, centre, type Camera } from './camera'
import { Card } from './Card'
import { useGestures } from './gestures'
import { isGroup, model, step, type Direction, type Graph, type GraphNode } from './model'
import { paintEdges, paintFar, type Scene } from './paint'
import { active, criticalPath, failedPath, type Statuses } from './path'
import { Ribbon } from './Ribbon'
import { subtitle } from './text'
import { useCamera } from './useCamera'
import './graph.css'

/** What of a graph is looked at. It belongs to the page's address. */
export interface GraphOptions {
  follow?: boolean // the camera goes to what started last
  only?: 'failed' | 'critical' | undefined // the rest is faded
  shut?: readonly string[] // ids of groups drawn as one card
}

export interface GraphViewProps {
  graph: Graph
  status: Statuses // a new map whenever something in it is new
  now: number // server time in ms; about once a second while something runs
  options: GraphOptions
  onOptions: (o: GraphOptions) => void
  selected?: string | undefined
  onSelect: (id: string | undefined) => void
  label: string // what graph it is, for those who cannot see it
  plan?: boolean // nothing runs: there is nothing to follow and nothing failed
  onOpen?: (id: string) => void // asks for what the server left out of a folded group
  dimmed?: boolean // it no longer belongs to the text beside it
}

const arrows: Record<string, Direction> = { ArrowLeft: 'left', ArrowRight: 'right', ArrowUp: 'up', ArrowDown: 'down', Home: 'first', End: 'last' }
/** The most cards that are mounted; a screen that shows more of them is drawn as blocks. */
const mostCards = 400

/** GraphView shows a plan and where it stands: cards that are on the screen are buttons, everything else is painted. */
export function GraphView(p: GraphViewProps) {
  const { graph, status, options, onOptions, onSelect } = p
  const stage = useRef<HTMLDivElement>(null)
  const world = useRef<HTMLDivElement>(null)
  const sheet = useRef<HTMLCanvasElement>(null)
  const ribbon = useRef<((c: Camera) => void) | null>(null)
  const screen = useSize(stage)
  const palette = usePalette(stage)
  const shut = useMemo(() => new Set(options.shut), [options.shut])
  const m = useMemo(() => model(graph, shut), [graph, shut])
  const emphasis = useMemo(() => {
    if (options.only === 'failed') return failedPath(m, status)
    if (options.only === 'critical') return criticalPath(m, status, p.now)
    return undefined
  }, [options.only, m, status, p.now])
  const scene = useMemo<Scene | undefined>(() => palette && { model: m, status, palette, emphasis }, [m, status, palette, emphasis])

  const draw = (c: Camera) => {
    if (world.current) world.current.style.transform = `translate(${-c.x * c.k}px, ${-c.y * c.k}px) scale(${c.k})`
    const ctx = sheet.current && canvas(sheet.current, screen.w, screen.h)
    if (ctx && scene) {
      paintEdges(ctx, scene, c, screen)
      if (!near) paintFar(ctx, scene, c, screen)
    }
    ribbon.current?.(c)
  }
  const cam = useCamera(graph.width, graph.height, screen, draw)
  const visible = useMemo(() => m.nodes.filter((n) => meets(n, cam.window.box)), [m, cam.window])
  const near = cam.window.near && visible.length <= mostCards
  useLayoutEffect(() => draw(cam.at())) // whatever changed, the picture is as new as the elements

  // One card takes Tab; it is mounted wherever it is.
  const [at, setAt] = useState<string>()
  const stop = [p.selected, at].find((id) => id && m.byId.has(id)) ?? m.nodes[0]?.id
  const cards = useMemo(() => {
    const list = near ? visible : []
    const s = stop ? m.byId.get(stop) : undefined
    return s && !list.includes(s) ? [...list, s] : list
  }, [near, visible, stop, m])

  const unfollow = useCallback(() => {
    if (options.follow) onOptions({ ...options, follow: false })
  }, [options, onOptions])
  useGestures(stage, cam, unfollow)
  useFollow(options.follow === true, m, status, cam, screen)

  const focusNext = useRef<string>(undefined)
  useLayoutEffect(() => {
    if (!focusNext.current) return
    const el = world.current?.querySelector<HTMLElement>(`button[data-id="${CSS.escape(focusNext.current)}"]`)
    if (el) {
      focusNext.current = undefined
      el.focus({ preventScroll: true })
    }
  })

  const goTo = (id: string) => {
    const n = m.byId.get(id)
    if (!n) return
    const c = cam.at()
    const head = { x: n.x, y: n.y, w: Math.min(n.w, 400), h: 40 }
    cam.set(near ? reveal(c, head, screen, 48) : centre(head, screen, Math.max(c.k, 0.8)))
    focusNext.current = id
    setAt(id)
    unfollow()
  }
  const toggle = (id: string) => {
    if (m.byId.get(id)?.folded) return p.onOpen?.(id)
    const now = new Set(options.shut)
    if (!now.delete(id)) now.add(id)
    onOptions({ ...options, shut: [...now] })
  }
  const zoomBy = (f: number) => {
    unfollow()
    cam.glide(zoom(cam.at(), f, screen.w / 2, screen.h / 2))
  }
  const fitAll = () => {
    unfollow()
    const box = bounds(emphasis ? m.nodes.filter((n) => emphasis.has(n.id)) : []) ?? { x: 0, y: 0, w: graph.width, h: graph.height }
    cam.glide(fit(box, screen))
  }

  const onKeyDown = (e: KeyboardEvent) => {
    if (e.altKey || e.metaKey || e.ctrlKey) return
    const id = (e.target as HTMLElement).dataset.id
    const dir = arrows[e.key]
    if (dir && e.shiftKey) cam.set(pan(cam.at(), dir === 'left' ? -80 : dir === 'right' ? 80 : 0, dir === 'up' ? -80 : dir === 'down' ? 80 : 0))
    else if (dir) goTo(step(m, id ?? stop ?? '', dir))
    else if (e.key === '+' || e.key === '=') zoomBy(1.3)
    else if (e.key === '-') zoomBy(1 / 1.3)
    else if (e.key === '0') fitAll()
    else if (e.key === 'f' && !p.plan) onOptions({ ...options, follow: !options.follow })
    else if (e.key === ' ' && id && (shut.has(id) || m.byId.get(id)?.folded || isGroup(m.byId.get(id)!))) toggle(id)
    else return
    e.preventDefault()
    e.stopPropagation()
  }
  const onClick = (e: MouseEvent) => {
    const el = (e.target as HTMLElement).closest<HTMLElement>('[data-id], [data-fold]')
    if (el?.dataset.fold) return toggle(el.dataset.fold)
    if (el?.dataset.id) {
      setAt(el.dataset.id)
      return onSelect(el.dataset.id === p.selected ? undefined : el.dataset.id)
    }
    if (near) return
    const r = stage.current!.getBoundingClientRect()
    const c = cam.at()
    const point = { x: c.x + (e.clientX - r.left) / c.k, y: c.y + (e.clientY - r.top) / c.k }
    unfollow()
    cam.glide(centre({ ...point, w: 0, h: 0 }, screen, 1))
  }

  const groups = useMemo(() => graph.nodes.filter((n) => isGroup(n)).map((n) => n.id), [graph])
  const flip = (o: GraphOptions) => onOptions({ ...options, ...o })
  return (
    <div className="graph" data-dimmed={p.dimmed || undefined}>
      <div className="graph-options" role="toolbar" aria-label="What to show">
        {!p.plan && (
          <>
        <Toggle on={options.follow} set={() => flip({ follow: !options.follow })}>
          Follow active
        </Toggle>
        <Toggle on={options.only === 'failed'} set={() => flip({ only: options.only === 'failed' ? undefined : 'failed' })}>
          Only failed path
        </Toggle>
        <Toggle on={options.only === 'critical'} set={() => flip({ only: options.only === 'critical' ? undefined : 'critical' })}>
          Critical path
        </Toggle>
          </>
        )}
        {groups.length > 0 && (
          <Toggle on={shut.size > 0} set={() => flip({ shut: shut.size ? [] : groups })}>
            Close groups
          </Toggle>
        )}
      </div>
      <div
        className="graph-stage"
        ref={stage}
        role="group"
        aria-label={`${p.label}, ${graph.nodes.length} tasks. Arrow keys walk the edges, plus and minus zoom, 0 fits.`}
        onKeyDown={onKeyDown}
        onClick={onClick}
      >
        <canvas ref={sheet} aria-hidden="true" />
        <div className="graph-world" ref={world} data-far={!near || undefined}>
          {cards.map((n) => card(n, m.shut.has(n.id), p, emphasis, n.id === stop))}
        </div>
      </div>
      <div className="graph-tools" role="toolbar" aria-label="Zoom">
        <button type="button" aria-label="Zoom in" title="Zoom in (+)" onClick={() => zoomBy(1.3)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" title="Zoom out (-)" onClick={() => zoomBy(1 / 1.3)}>
          −
        </button>
        <button type="button" title="Fit all (0)" onClick={fitAll}>
          Fit
        </button>
      </div>
      {scene && <Ribbon scene={scene} screen={screen} cam={cam} draw={ribbon} moved={unfollow} />}
    </div>
  )
}

function card(n: GraphNode, isShut: boolean, p: GraphViewProps, emphasis: ReadonlySet<string> | undefined, stop: boolean) {
  const s = p.status.get(n.id)
  return (
    <Card
      key={n.id}
      node={n}
      state={s?.state ?? 'pending'}
      sub={subtitle(n, s, p.now)}
      counts={s?.counts}
      shut={isShut}
      faded={emphasis !== undefined && !emphasis.has(n.id)}
      pressed={n.id === p.selected}
      stop={stop}
    />
  )
}

function Toggle({ on, set, children }: { on: boolean | undefined; set: () => void; children: string }) {
  return (
    <button type="button" aria-pressed={on === true} onClick={set}>
      {children}
    </button>
  )
}

/** useFollow moves the camera to what started last, whenever that changes and is not in the middle of the screen. */
function useFollow(on: boolean, m: ReturnType<typeof model>, status: Statuses, cam: ReturnType<typeof useCamera>, screen: { w: number; h: number }) {
  const target = on && screen.w > 0 ? active(m, status) : undefined
  useEffect(() => {
    const n = target ? m.byId.get(target) : undefined
    if (!n) return
    const c = cam.at()
    const v = seen(c, screen)
    const middle = { x: v.x + v.w * 0.2, y: v.y + v.h * 0.2, w: v.w * 0.6, h: v.h * 0.6 }
    if (c.k < 0.6 || !meets(n, middle)) cam.glide(centre({ x: n.x, y: n.y, w: 176, h: 40 }, screen, Math.max(c.k, 0.8)))
  }, [target, m, screen]) // eslint-disable-line -- the camera's own moves are no reason to move it
}

function bounds(nodes: GraphNode[]) {
  if (nodes.length === 0) return undefined
  const x = Math.min(...nodes.map((n) => n.x)),
    y = Math.min(...nodes.map((n) => n.y))
  return { x, y, w: Math.max(...nodes.map((n) => n.x + n.w)) - x, h: Math.max(...nodes.map((n) => n.y + n.h)) - y }
}
