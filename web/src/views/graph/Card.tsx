import { memo } from 'react'
import { Glyph } from '@/kit/Chip'
import { states, type State } from '../state'
import { cardHeight, isGroup, type GraphNode } from './model'

export interface CardProps {
  node: GraphNode
  state: State
  sub: string
  counts?: Partial<Record<State, number>> | undefined
  shut: boolean // a group drawn as a card
  faded: boolean
  pressed: boolean
  stop: boolean // where Tab goes to
}

/** Card is a task of the graph: a button, or a box with one around what is inside. */
export const Card = memo(function Card({ node: n, state, sub, counts, shut, faded, pressed, stop }: CardProps) {
  const open = isGroup(n) && !shut
  const name = n.title || n.id
  return (
    <>
      {open && <div className="graph-box" style={{ left: n.x, top: n.y, width: n.w, height: n.h }} data-faded={faded || undefined} />}
      <button
        type="button"
        className="graph-card"
        data-id={n.id}
        data-state={state}
        data-kind={n.kind}
        data-open={open || undefined}
        data-shut={shut || n.folded || undefined}
        data-faded={faded || undefined}
        tabIndex={stop ? 0 : -1}
        aria-pressed={pressed}
        style={{ left: n.x, top: n.y, width: open ? n.w : undefined, height: cardHeight }}
      >
        <Glyph state={state} />
        <span>
          <b>{name}</b>
          <em className="graph-said">, {state}, </em>
          <small>{sub || '\u00a0'}</small>
        </span>
        {counts && <Bar counts={counts} />}
      </button>
      {(open || shut || n.folded) && (
        <button
          type="button"
          className="graph-fold"
          data-fold={n.id}
          tabIndex={-1}
          aria-label={`${open ? 'Close' : 'Open'} the group ${name}`}
          aria-expanded={open}
          style={{ left: n.x + (open ? n.w : 176) - 28, top: n.y + 8 }}
        >
          {open ? '▾' : '▸'}
        </button>
      )}
    </>
  )
})

/** Bar shows how many of a group's children are in which state. */
function Bar({ counts }: { counts: Partial<Record<State, number>> }) {
  const of = states.filter((s) => counts[s])
  return (
    <span className="graph-bar" aria-hidden="true">
      {of.map((s) => (
        <s key={s} data-state={s} style={{ flexGrow: counts[s] }} />
      ))}
    </span>
  )
}
