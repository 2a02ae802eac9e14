import { useEffect, useRef, type RefObject } from 'react'
import { pan, zoom } from './camera'
import type { CameraControl } from './useCamera'

/**
 * useGestures moves the camera by wheel (with Ctrl, or pinched on a touch pad, it zooms), by dragging, and by
 * two fingers. moved is called when a person moved it.
 */
export function useGestures(ref: RefObject<HTMLElement | null>, cam: CameraControl, moved: () => void) {
  const latest = useRef({ cam, moved })
  useEffect(() => {
    latest.current = { cam, moved }
  })
  useEffect(() => {
    const el = ref.current
    if (!el) return
    const on = { wheel: onWheel, pointerdown: onDown, pointermove: onMove, pointerup: onUp, pointercancel: onUp, click: onClick }
    const fingers = new Map<number, { x: number; y: number }>()
    let dragged = 0

    function onWheel(e: WheelEvent) {
      const { cam, moved } = latest.current
      e.preventDefault()
      moved()
      const unit = e.deltaMode === 1 ? 18 : e.deltaMode === 2 ? el!.clientHeight : 1
      const dx = e.deltaX * unit,
        dy = e.deltaY * unit
      if (!e.ctrlKey && !e.metaKey) return cam.set(pan(cam.at(), e.shiftKey && dx === 0 ? dy : dx, e.shiftKey && dx === 0 ? 0 : dy))
      const r = el!.getBoundingClientRect()
      cam.set(zoom(cam.at(), Math.exp(-Math.max(-60, Math.min(60, dy)) / 120), e.clientX - r.left, e.clientY - r.top))
    }
    function onDown(e: PointerEvent) {
      if (e.button !== 0 && e.button !== 1) return
      fingers.set(e.pointerId, { x: e.clientX, y: e.clientY })
      dragged = 0
    }
    function onMove(e: PointerEvent) {
      const before = fingers.get(e.pointerId)
      if (!before) return
      if (e.buttons === 0) return void fingers.delete(e.pointerId)
      const { cam, moved } = latest.current
      const dx = e.clientX - before.x,
        dy = e.clientY - before.y
      const others = [...fingers].filter(([id]) => id !== e.pointerId).map(([, p]) => p)
      if (others.length === 0) {
        dragged += Math.abs(dx) + Math.abs(dy)
        if (dragged < 4) return // a click may shake
        if (!el!.hasPointerCapture(e.pointerId)) el!.setPointerCapture(e.pointerId)
        moved()
        cam.set(pan(cam.at(), -dx, -dy))
      } else {
        const o = others[0]!
        const r = el!.getBoundingClientRect()
        const was = Math.hypot(before.x - o.x, before.y - o.y),
          is = Math.hypot(e.clientX - o.x, e.clientY - o.y)
        dragged = 100
        moved()
        cam.set(zoom(pan(cam.at(), -dx / 2, -dy / 2), is / Math.max(1, was), (e.clientX + o.x) / 2 - r.left, (e.clientY + o.y) / 2 - r.top))
      }
      fingers.set(e.pointerId, { x: e.clientX, y: e.clientY })
    }
    function onUp(e: PointerEvent) {
      fingers.delete(e.pointerId)
    }
    function onClick(e: MouseEvent) {
      if (dragged < 4) return
      e.stopPropagation() // the end of a drag chooses nothing
      dragged = 0
    }

    for (const [k, f] of Object.entries(on))
      el.addEventListener(k, f as EventListener, k === 'wheel' ? { passive: false } : { capture: k === 'click' })
    return () => {
      for (const [k, f] of Object.entries(on)) el.removeEventListener(k, f as EventListener, { capture: k === 'click' })
    }
  }, [ref])
}
