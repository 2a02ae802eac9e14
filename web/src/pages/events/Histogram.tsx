import { useMemo, useRef, useState, type PointerEvent } from 'react'
import type { Schemas } from '@/api/client'
import { now } from '@/lib/clock'
import { clock } from '@/lib/format'
import { columnsOf, sum } from './histogram'

/** Histogram is how much happened when, by state. Dragging over it chooses a time. */
export function Histogram({ of, onRange }: { of: Schemas['Histogram']; onRange: (from: number, to: number) => void }) {
  const { columns, most } = useMemo(() => columnsOf(of), [of])
  const box = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<[number, number] | null>(null)
  const at = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect()
    return Math.max(0, Math.min(columns.length - 1, Math.floor(((e.clientX - r.left - 12) / (r.width - 24)) * columns.length)))
  }
  const done = () => {
    if (drag) onRange(columns[Math.min(...drag)]!.from, columns[Math.max(...drag)]!.to)
    setDrag(null)
  }
  const chosen = (i: number) => drag !== null && i >= Math.min(...drag) && i <= Math.max(...drag)
  return (
    <>
      <div
        className="ev-histogram"
        ref={box}
        role="img"
        aria-label={`${sum(columns)}, between ${clock(Date.parse(of.from), now())} and ${clock(Date.parse(of.to), now())}`}
        onPointerDown={(e) => {
          e.currentTarget.setPointerCapture(e.pointerId)
          setDrag([at(e), at(e)])
        }}
        onPointerMove={(e) => drag && setDrag([drag[0], at(e)])}
        onPointerUp={done}
        onPointerCancel={() => setDrag(null)}
      >
        {columns.map((c, i) => (
          <span key={i} data-chosen={chosen(i) || undefined} title={`${clock(c.from, now())}: ${sum([c])}`}>
            {c.parts.map(([s, n]) => (
              <i key={s} data-state={s || undefined} style={{ height: `${(100 * n) / most}%` }} />
            ))}
          </span>
        ))}
      </div>
      <div className="ev-scale" aria-hidden>
        <span>{clock(Date.parse(of.from), now())}</span>
        <span>
          {sum(columns)}
          {Date.parse(of.since) > Date.parse(of.from) && `, counted since ${clock(Date.parse(of.since), now())}`}
        </span>
        <span>{clock(Date.parse(of.to), now())}</span>
      </div>
    </>
  )
}
