import { useEffect, useState, type RefObject } from 'react'
import { states, type State } from './state'

/** The colours a canvas needs, read from the style sheet, so that it follows the theme. */
export interface Palette {
  state: Record<State, string>
  page: string
  panel: string
  line: string
  ink: string
  dim: string
  accent: string
}

function read(el: Element): Palette {
  const css = getComputedStyle(el)
  const v = (name: string) => css.getPropertyValue(name).trim()
  return {
    state: Object.fromEntries(states.map((s) => [s, v('--s-' + s)])) as Record<State, string>,
    page: v('--bg'),
    panel: v('--panel'),
    line: v('--line'),
    ink: v('--ink'),
    dim: v('--dim'),
    accent: v('--accent'),
  }
}

/** usePalette returns the colours at an element and again whenever the theme changes; undefined until it is there. */
export function usePalette(ref: RefObject<Element | null>): Palette | undefined {
  const [palette, set] = useState<Palette>()
  useEffect(() => {
    const again = () => ref.current && set(read(ref.current))
    again()
    const theme = new MutationObserver(again)
    theme.observe(document.documentElement, { attributes: true })
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', again)
    return () => {
      theme.disconnect()
      dark.removeEventListener('change', again)
    }
  }, [ref])
  return palette
}

/** canvas sizes a canvas for the screen's resolution and returns its context in CSS pixels, cleared. */
export function canvas(el: HTMLCanvasElement, w: number, h: number): CanvasRenderingContext2D | null {
  const dpr = Math.min(2, window.devicePixelRatio || 1)
  const pw = Math.round(w * dpr),
    ph = Math.round(h * dpr)
  if (el.width !== pw || el.height !== ph) {
    el.width = pw
    el.height = ph
  }
  const ctx = el.getContext('2d')
  if (!ctx) return null
  ctx.setTransform(dpr, 0, 0, dpr, 0, 0)
  ctx.clearRect(0, 0, w, h)
  return ctx
}
