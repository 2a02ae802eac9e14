import { useEffect, type RefObject } from 'react'

/** useAway calls f when somebody clicks, or moves the focus, outside of an element. */
export function useAway(ref: RefObject<HTMLElement | null>, on: boolean, f: () => void): void {
  useEffect(() => {
    if (!on) return
    const away = (e: Event) => {
      if (!ref.current?.contains(e.target as Node)) f()
    }
    document.addEventListener('pointerdown', away)
    document.addEventListener('focusin', away)
    return () => {
      document.removeEventListener('pointerdown', away)
      document.removeEventListener('focusin', away)
    }
  })
}
