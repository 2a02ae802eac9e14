/** What part of the world is seen: the world point (x, y) is at the top left of the screen, k is the zoom. */
export interface Camera {
  x: number
  y: number
  k: number
}

export interface Size {
  w: number
  h: number
}

export interface Box extends Size {
  x: number
  y: number
}

export const minZoom = 0.02
export const maxZoom = 2

/** seen returns the part of the world on a screen. */
export function seen(c: Camera, screen: Size): Box {
  return { x: c.x, y: c.y, w: screen.w / c.k, h: screen.h / c.k }
}

/** meets reports whether two boxes overlap. */
export function meets(a: Box, b: Box): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/** pan moves what is seen by a distance on the screen. */
export function pan(c: Camera, dx: number, dy: number): Camera {
  return { ...c, x: c.x + dx / c.k, y: c.y + dy / c.k }
}

/** zoom multiplies the zoom and leaves the point at (sx, sy) on the screen where it is. */
export function zoom(c: Camera, factor: number, sx: number, sy: number): Camera {
  const k = Math.min(maxZoom, Math.max(minZoom, c.k * factor))
  return { x: c.x + sx / c.k - sx / k, y: c.y + sy / c.k - sy / k, k }
}

/** fit shows a box whole, centred, and not larger than life. */
export function fit(box: Box, screen: Size, margin = 24): Camera {
  const k = Math.max(minZoom, Math.min(1, (screen.w - 2 * margin) / Math.max(1, box.w), (screen.h - 2 * margin) / Math.max(1, box.h)))
  return centre(box, screen, k)
}

/** centre puts the middle of a box into the middle of the screen. */
export function centre(box: Box, screen: Size, k: number): Camera {
  return { x: box.x + box.w / 2 - screen.w / 2 / k, y: box.y + box.h / 2 - screen.h / 2 / k, k }
}

/**
 * opening is what a graph is first seen with: whole if it can be read then, else its beginning at a size
 * that can be read.
 */
export function opening(width: number, height: number, screen: Size): Camera {
  const whole = fit({ x: 0, y: 0, w: width, h: height }, screen)
  if (whole.k >= 0.6) return whole
  const k = screen.w < 600 ? 0.8 : 1
  return {
    x: width * k < screen.w ? (width - screen.w / k) / 2 : -24 / k,
    y: height * k < screen.h ? (height - screen.h / k) / 2 : -24 / k,
    k,
  }
}

/** reveal moves as little as needed for a box to be seen with a margin; the same camera if it is. */
export function reveal(c: Camera, box: Box, screen: Size, margin = 24): Camera {
  const v = seen(c, screen)
  const m = margin / c.k
  const axis = (at: number, len: number, from: number, size: number) => {
    if (from - m < at) return from - m
    if (from + size + m > at + len) return from + size + m - len
    return at
  }
  const x = axis(v.x, v.w, box.x, box.w)
  const y = axis(v.y, v.h, box.y, box.h)
  return x === c.x && y === c.y ? c : { ...c, x, y }
}

/** hold keeps a part of a world of a size on the screen, so that nobody gets lost. */
export function hold(c: Camera, width: number, height: number, screen: Size): Camera {
  const keep = 80 / c.k
  const clamp = (v: number, lo: number, hi: number) => Math.min(Math.max(v, lo), hi)
  return {
    x: clamp(c.x, keep - screen.w / c.k, width - keep > 0 ? width - keep : 0),
    y: clamp(c.y, keep - screen.h / c.k, height - keep > 0 ? height - keep : 0),
    k: c.k,
  }
}

/** between is the camera on the way from a to b, t from 0 to 1, slower at both ends. */
export function between(a: Camera, b: Camera, t: number): Camera {
  const e = t < 0.5 ? 2 * t * t : 1 - (2 - 2 * t) ** 2 / 2
  const mix = (p: number, q: number) => p + (q - p) * e
  return { x: mix(a.x, b.x), y: mix(a.y, b.y), k: mix(a.k, b.k) }
}
