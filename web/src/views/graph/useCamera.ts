import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { between, hold, opening, seen, type Box, type Camera, type Size } from './camera'

/** Far is a zoom at which nothing on a card could be read. */
export const far = 0.45

/** What is drawn as elements: a part of the world that is larger than what is seen, so that a small pan changes nothing. */
export interface Window {
  box: Box
  near: boolean // cards can be read
}

export interface CameraControl {
  at: () => Camera
  window: Window
  set: (c: Camera) => void // at once
  glide: (c: Camera) => void // in a moment, unless motion is not wanted
}

/**
 * useCamera keeps what is seen outside React: draw is called once an animation frame in which it moved, and
 * only a change of what must be mounted renders.
 */
export function useCamera(width: number, height: number, screen: Size, draw: (c: Camera) => void): CameraControl {
  const camera = useRef<Camera>({ x: 0, y: 0, k: 1 })
  const moved = useRef(false) // by somebody: until then it fits what there is, whatever size
  const frame = useRef(0)
  const glideFrame = useRef(0)
  const paint = useRef(draw)
  const [win, setWin] = useState<Window>({ box: { x: 0, y: 0, w: 0, h: 0 }, near: true })
  useLayoutEffect(() => {
    paint.current = draw
  })

  const put = useCallback(
    (c: Camera) => {
      camera.current = hold(c, width, height, screen)
      const now = camera.current
      const v = seen(now, screen)
      setWin((w) => {
        const near = now.k >= far
        const inside = v.x >= w.box.x && v.y >= w.box.y && v.x + v.w <= w.box.x + w.box.w && v.y + v.h <= w.box.y + w.box.h
        if (inside && near === w.near && w.box.w < v.w * 4) return w
        const more = 240 / now.k
        return { near, box: { x: v.x - more, y: v.y - more, w: v.w + 2 * more, h: v.h + 2 * more } }
      })
      cancelAnimationFrame(frame.current)
      frame.current = requestAnimationFrame(() => paint.current(camera.current))
    },
    [width, height, screen],
  )

  const set = useCallback(
    (c: Camera) => {
      moved.current = true
      cancelAnimationFrame(glideFrame.current)
      put(c)
    },
    [put],
  )

  const glide = useCallback(
    (to: Camera) => {
      moved.current = true
      cancelAnimationFrame(glideFrame.current)
      if (matchMedia('(prefers-reduced-motion: reduce)').matches) return put(to)
      const from = camera.current
      const began = performance.now()
      const tick = (t: number) => {
        const part = Math.min(1, Math.max(0, (t - began) / 120))
        put(between(from, to, part))
        if (part < 1) glideFrame.current = requestAnimationFrame(tick)
      }
      glideFrame.current = requestAnimationFrame(tick)
    },
    [put],
  )

  useLayoutEffect(() => {
    if (screen.w === 0 || screen.h === 0) return
    put(moved.current ? camera.current : opening(width, height, screen))
  }, [put, width, height, screen])

  useEffect(
    () => () => {
      cancelAnimationFrame(frame.current)
      cancelAnimationFrame(glideFrame.current)
    },
    [],
  )

  const at = useCallback(() => camera.current, [])
  return { at, window: win, set, glide }
}
