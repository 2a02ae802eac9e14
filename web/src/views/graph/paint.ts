import type { Palette } from '../palette'
import type { State } from '../state'
import { meets, seen, type Box, type Camera, type Size } from './camera'
import { isGroup, type GraphEdge, type GraphNode, type Model } from './model'
import type { Statuses } from './path'

export interface Scene {
  model: Model
  status: Statuses
  palette: Palette
  emphasis: ReadonlySet<string> | undefined // undefined is all
}

/** How wide the gap between columns is, at least. */
const gap = 44

/** ends returns where an edge leaves one node and enters the other. */
function ends(m: Model, e: GraphEdge): [number, number, number, number] {
  const a = m.byId.get(e.from)!,
    b = m.byId.get(e.to)!
  return [a.x + a.w, a.y + a.h / 2, b.x, b.y + b.h / 2]
}

/** paintEdges draws the edges that are on the screen, one path a style. */
export function paintEdges(ctx: CanvasRenderingContext2D, s: Scene, c: Camera, screen: Size) {
  const view = seen(c, screen)
  const straight = c.k < 0.12
  const paths = { plain: new Path2D(), soft: new Path2D(), strong: new Path2D(), faint: new Path2D() }
  for (const e of s.model.edges) {
    const [x1, y1, x2, y2] = ends(s.model, e)
    if (!meets({ x: Math.min(x1, x2), y: Math.min(y1, y2), w: Math.abs(x2 - x1) + 1, h: Math.abs(y2 - y1) + 1 }, view)) continue
    const strong = s.emphasis?.has(e.from) && s.emphasis.has(e.to)
    const p = strong ? paths.strong : s.emphasis ? paths.faint : e.soft ? paths.soft : paths.plain
    p.moveTo(x1, y1)
    const bend = Math.min(80, Math.max(16, Math.abs(x2 - x1) / 2))
    if (straight) p.lineTo(x2, y2)
    else {
      const bx = e.short ? Math.max(x1, x2 - gap) : x1 // beside wide neighbours the line runs straight first
      p.lineTo(bx, y1)
      p.bezierCurveTo(bx + (e.short ? gap / 2 : bend), y1, x2 - (e.short ? gap / 2 : bend), y2, x2, y2)
    }
  }
  ctx.save()
  ctx.scale(c.k, c.k)
  ctx.translate(-c.x, -c.y)
  const stroke = (p: Path2D, colour: string, alpha: number, width: number, dash: number[] = []) => {
    ctx.strokeStyle = colour
    ctx.globalAlpha = alpha
    ctx.lineWidth = width / Math.max(c.k, 0.35)
    ctx.setLineDash(dash)
    ctx.stroke(p)
  }
  stroke(paths.faint, s.palette.dim, 0.15, 1)
  stroke(paths.plain, s.palette.dim, straight ? 0.3 : 0.55, 1)
  stroke(paths.soft, s.palette.dim, 0.55, 1, [4, 3])
  stroke(paths.strong, s.palette.accent, 1, 2)
  ctx.restore()
}

/** byState groups what is drawn alike, for one fill a state. */
function byState(s: Scene, view: Box | undefined, each: (n: GraphNode, state: State, faded: boolean) => void) {
  for (const n of s.model.nodes) {
    if (isGroup(n) && !s.model.shut.has(n.id)) continue
    if (view && !meets(n, view)) continue
    each(n, s.status.get(n.id)?.state ?? 'pending', s.emphasis !== undefined && !s.emphasis.has(n.id))
  }
}

/** paintFar draws the nodes as blocks of colour, for a zoom at which nothing could be read. */
export function paintFar(ctx: CanvasRenderingContext2D, s: Scene, c: Camera, screen: Size) {
  const view = seen(c, screen)
  ctx.save()
  ctx.lineWidth = 1
  ctx.strokeStyle = s.palette.line
  for (const n of s.model.nodes) {
    if (!isGroup(n) || s.model.shut.has(n.id) || !meets(n, view)) continue
    ctx.strokeRect((n.x - c.x) * c.k, (n.y - c.y) * c.k, n.w * c.k, n.h * c.k)
  }
  byState(s, view, (n, state, faded) => {
    ctx.globalAlpha = faded ? 0.2 : 1
    const x = (n.x - c.x) * c.k,
      y = (n.y - c.y) * c.k,
      w = Math.max(2, n.w * c.k),
      h = Math.max(2, n.h * c.k)
    ctx.fillStyle = s.palette.panel
    ctx.fillRect(x, y, w, h)
    ctx.fillStyle = s.palette.state[state]
    ctx.globalAlpha *= state === 'pending' || state === 'skipped' ? 0.35 : 0.8
    ctx.fillRect(x, y, w, h)
  })
  ctx.restore()
}

/** scales says how the ribbon shrinks the world in each direction. */
export function scales(m: Model, ribbon: Size): { sx: number; sy: number } {
  return { sx: ribbon.w / Math.max(1, m.width), sy: ribbon.h / Math.max(1, m.height) }
}

/** paintRibbon draws all tasks into a strip, and a box around what is seen. */
export function paintRibbon(ctx: CanvasRenderingContext2D, s: Scene, c: Camera, screen: Size, ribbon: Size) {
  const { sx, sy } = scales(s.model, ribbon)
  byState(s, undefined, (n, state, faded) => {
    ctx.fillStyle = s.palette.state[state]
    ctx.globalAlpha = faded ? 0.2 : state === 'pending' || state === 'skipped' ? 0.4 : 1
    ctx.fillRect(n.x * sx, n.y * sy, Math.max(2, n.w * sx - 1), Math.max(2, Math.min(8, n.h * sy - 1)))
  })
  ctx.globalAlpha = 1
  const v = seen(c, screen)
  const x = Math.max(1, v.x * sx),
    y = Math.max(1, v.y * sy)
  const r = Math.min(ribbon.w - 1, (v.x + v.w) * sx),
    b = Math.min(ribbon.h - 1, (v.y + v.h) * sy)
  ctx.strokeStyle = s.palette.accent
  ctx.lineWidth = 2
  ctx.strokeRect(x, y, Math.max(6, r - x), Math.max(6, b - y))
}
