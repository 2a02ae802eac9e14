import { useEffect, useRef, type PointerEvent, type RefObject } from 'react'
import { canvas } from '../palette'
import { useSize } from '../size'
import { seen, type Camera, type Size } from './camera'
import { paintRibbon, scales, type Scene } from './paint'
import type { CameraControl } from './useCamera'

/** Ribbon is the whole plan in a strip of 36 px, with a box around what is seen. Pressing it goes there. */
export function Ribbon(p: { scene: Scene; screen: Size; cam: CameraControl; draw: RefObject<((c: Camera) => void) | null>; moved: () => void }) {
  const { scene, screen, cam } = p
  const box = useRef<HTMLDivElement>(null)
  const sheet = useRef<HTMLCanvasElement>(null)
  const size = useSize(box)
  useEffect(() => {
    const draw = (c: Camera) => {
      const ctx = sheet.current && size.w > 0 ? canvas(sheet.current, size.w, size.h) : null
      if (ctx) paintRibbon(ctx, scene, c, screen, size)
    }
    p.draw.current = draw
    draw(cam.at())
    return () => {
      p.draw.current = null
    }
  })
  const go = (e: PointerEvent) => {
    if (e.buttons !== 1) return
    const r = box.current!.getBoundingClientRect()
    const { sx, sy } = scales(scene.model, size)
    const c = cam.at()
    const v = seen(c, screen)
    p.moved()
    // A plan that is seen from top to bottom stays so.
    const y = v.h >= scene.model.height ? c.y : (e.clientY - r.top) / sy - v.h / 2
    cam.set({ k: c.k, x: (e.clientX - r.left) / sx - v.w / 2, y })
  }
  return (
    <div
      className="graph-ribbon"
      ref={box}
      aria-hidden="true"
      title="Overview: drag to move"
      onPointerDown={(e) => {
        e.currentTarget.setPointerCapture(e.pointerId)
        go(e)
      }}
      onPointerMove={go}
    >
      <canvas ref={sheet} />
    </div>
  )
}
