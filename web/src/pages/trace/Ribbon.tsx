import { useEffect, useRef, type PointerEvent } from 'react'
import type { Graph as Plan } from '@/api/types'
import { useStore } from '@/lib/store'
import { theme } from '@/lib/theme'
import { stateOf, type View } from './Graph'

const height = 36

/** Ribbon is the whole plan in 36 pixels, with a window that can be moved over it. */
export function Ribbon({ plan, view, size, onMove }: { plan: Plan; view: View; size: { w: number; h: number }; onMove: (x: number, y: number) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const chosen = useStore(theme)
  const sx = size.w / Math.max(1, plan.width)
  const sy = height / Math.max(1, plan.height)
  useEffect(() => {
    const c = canvas.current
    const ctx = c?.getContext('2d')
    if (!c || !ctx || !size.w) return
    const r = devicePixelRatio
    c.width = size.w * r
    c.height = height * r
    ctx.scale(r, r)
    const style = getComputedStyle(document.documentElement)
    const colour: Record<string, string> = {}
    for (const n of plan.nodes ?? []) {
      if (n.kind === 'group' || (n.kind === 'each' && n.h > 60)) continue
      const s = stateOf(n)
      ctx.fillStyle = colour[s] ??= style.getPropertyValue(`--s-${s}`)
      ctx.globalAlpha = s === 'pending' ? 0.45 : 1
      ctx.fillRect(n.x * sx, n.y * sy, Math.max(1.5, n.w * sx - 1), Math.max(1.5, n.h * sy - 1))
    }
  }, [plan, size.w, sx, sy, chosen])
  const go = (e: PointerEvent) => {
    if (e.type === 'pointermove' && !(e.buttons & 1)) return
    const r = e.currentTarget.getBoundingClientRect()
    onMove(size.w / 2 - ((e.clientX - r.left) / sx) * view.zoom, size.h / 2 - ((e.clientY - r.top) / sy) * view.zoom)
  }
  return (
    <div className="ribbon" onPointerDown={go} onPointerMove={go} aria-hidden>
      <canvas ref={canvas} />
      <div className="window" style={{ left: (-view.x / view.zoom) * sx, top: (-view.y / view.zoom) * sy, width: (size.w / view.zoom) * sx, height: (size.h / view.zoom) * sy }} />
    </div>
  )
}
