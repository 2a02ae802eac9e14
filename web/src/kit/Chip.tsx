import type { ReactNode } from 'react'
import { glyphs } from './state'

/** Glyph is a state as a sign; put the word beside it, or give title. */
export function Glyph({ state, title }: { state: string; title?: string }) {
  const g = glyphs[state] ?? glyphs['pending']!
  return (
    <svg className="glyph" data-state={state} viewBox="0 0 14 14" width="14" height="14" aria-hidden={title ? undefined : true} role={title ? 'img' : undefined} aria-label={title}>
      {title && <title>{title}</title>}
      <path d={g.d} fillRule="evenodd" fill={g.fill ? 'currentColor' : 'none'} stroke={g.fill ? 'none' : 'currentColor'} strokeWidth="1.6" />
    </svg>
  )
}

/** StateChip says a state by colour, glyph and word. children replace the word: "Running 33s". */
export function StateChip({ state, children }: { state: string; children?: ReactNode }) {
  return (
    <span className="chip" data-state={state}>
      <Glyph state={state} />
      {children ?? <span className="cap">{state}</span>}
    </span>
  )
}

/** FilterChip is a chip that is on or off: a filter with its count. */
export function FilterChip({ state, on, onChange, children }: { state?: string; on: boolean; onChange: (on: boolean) => void; children: ReactNode }) {
  return (
    <button type="button" className="chip filter" data-state={state} aria-pressed={on} onClick={() => onChange(!on)}>
      {state && <Glyph state={state} />}
      {children}
    </button>
  )
}

/** Tag is a small word about what something is: its kind or use. */
export function Tag({ children }: { children: ReactNode }) {
  return <span className="tag">{children}</span>
}
