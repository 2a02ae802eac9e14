import { useLayoutEffect, useState, type RefObject } from 'react'

/** useSize returns the inner size of an element as it is and becomes; zero until it is there. */
export function useSize(ref: RefObject<HTMLElement | null>): { w: number; h: number } {
  const [size, set] = useState({ w: 0, h: 0 })
  useLayoutEffect(() => {
    const el = ref.current
    if (!el) return
    const measure = () => set((s) => (s.w === el.clientWidth && s.h === el.clientHeight ? s : { w: el.clientWidth, h: el.clientHeight }))
    measure()
    const o = new ResizeObserver(measure)
    o.observe(el)
    return () => o.disconnect()
  }, [ref])
  return size
}
