import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { states, ended } from '@/api/types'
import { FilterChip, Glyph, Tag } from '@/kit'
import { useNow } from '@/lib/clock'
import { duration } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { useQueryParam } from '@/lib/router'
import { asOf, bars, closedAtFirst, kindWord, shown, span, took, type Row, type Shown, type TraceView } from './model'
import { useUsual } from './useTrace'

export interface TimelineProps {
  view: TraceView
  /** Shown as it was at this moment; 0 is now. */
  moment?: number
  selected: string
  onSelect: (id: string) => void
  onOpen: (id: string) => Promise<void>
}

/** Timeline is everything a trace did, on one scale of time: the accessible equal of the graph. */
export function Timeline({ view: whole, moment = 0, selected, onSelect, onOpen }: TimelineProps) {
  const view = useMemo(() => (moment ? asOf(whole, moment) : whole), [whole, moment])
  const rows = view.rows ?? []
  const [state, setState] = useQueryParam('state')
  // What a person opened or closed counts more than how it is at first.
  const [turned, setTurned] = useState<ReadonlySet<string>>(new Set())
  const closed = useMemo(() => {
    const c = closedAtFirst(rows)
    for (const id of turned) if (!c.delete(id)) c.add(id)
    return c
  }, [rows, turned])
  const clock = useNow(!ended(view.state) && !moment)
  const now = moment || clock
  const usual = useUsual(rows)
  const list = useMemo(() => shown(rows, closed, state), [rows, closed, state])
  const [from, to] = span(whole, moment && !ended(whole.state) ? Math.max(moment, clock) : now)
  const box = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const t = box.current ? box.current.getBoundingClientRect().top + scrollY : 0
    if (Math.abs(t - top) > 1) setTop(t)
  })
  const virtual = useWindowVirtualizer({ count: list.length, estimateSize: () => 26, overscan: 30, scrollMargin: top, getItemKey: (i) => list[i]?.row.id ?? i })
  const toggle = (id: string) => {
    const next = new Set(turned)
    if (!next.delete(id)) next.add(id)
    setTurned(next)
  }
  const pick = (i: number) => {
    const r = list[Math.max(0, Math.min(list.length - 1, i))]
    if (!r) return
    onSelect(r.row.id)
    virtual.scrollToIndex(Math.max(0, Math.min(list.length - 1, i)), { align: 'auto' })
  }
  const at = list.findIndex((s) => s.row.id === selected)
  useKeys([
    { keys: 'j', does: 'Next row', run: () => pick(at + 1), group: 'Lists' },
    { keys: 'k', does: 'Previous row', run: () => pick(at - 1), group: 'Lists' },
  ])
  const keys = (e: KeyboardEvent) => {
    const s = list[at]
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') pick(at + (e.key === 'ArrowDown' ? 1 : -1))
    else if (s?.opens && ((e.key === 'ArrowLeft' && s.open) || (e.key === 'ArrowRight' && !s.open))) toggle(s.row.id)
    else return
    e.preventDefault()
  }
  const counts = useMemo(() => count(rows), [rows])
  const parts = [
    [rows.filter((r) => r.sub || r.use?.startsWith('workflow:')).length - rows.filter((r) => r.kind === 'run').length, 'sub-workflow'],
    [rows.filter((r) => r.kind === 'commit').length, 'commit'],
    [rows.filter((r) => r.kind === 'mail').length, 'mail'],
  ] as const
  const summary = parts.filter(([n]) => n > 0).map(([n, w]) => `${n} ${w}${n === 1 ? '' : 's'}`)
  return (
    <div className="panel">
      <div className="tlhead">
        {(['failed', 'running', 'waiting'] as const).some((s) => counts[s] || state === s) && <span className="dim">Show</span>}
        {(['failed', 'running', 'waiting'] as const).map((s) =>
          counts[s] || state === s ? (
            <FilterChip key={s} state={s} on={state === s} onChange={(on) => setState(on ? s : '')}>
              {counts[s] ?? 0} {s}
            </FilterChip>
          ) : null,
        )}
        <span className="dim tlsum">one trace: {[`${rows.filter((r) => r.kind === 'run').length} run${view.runs === 1 ? '' : 's'}`, ...summary].join(', ')}</span>
      </div>
      <div ref={box} role="treegrid" aria-label="Timeline" aria-rowcount={list.length} className="tl" onKeyDown={keys} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((v) => {
          const s = list[v.index]
          return (
            s && (
              <TimelineRow
                key={s.row.id}
                s={s}
                index={v.index}
                y={v.start - top}
                from={from}
                to={to}
                now={now}
                usual={usual(s.row)}
                selected={s.row.id === selected}
                onSelect={onSelect}
                onToggle={toggle}
                onMore={onOpen}
              />
            )
          )
        })}
      </div>
    </div>
  )
}

/** count counts what can be filtered for: tasks that are no parents. */
function count(rows: Row[]): Record<string, number> {
  const n: Record<string, number> = {}
  rows.forEach((r, i) => {
    if (r.state && states.includes(r.state as never) && (rows[i + 1]?.depth ?? 0) <= r.depth) n[r.state] = (n[r.state] ?? 0) + 1
  })
  return n
}

interface RowProps {
  s: Shown
  index: number
  y: number
  from: number
  to: number
  now: number
  usual: number
  selected: boolean
  onSelect: (id: string) => void
  onToggle: (id: string) => void
  onMore: (id: string) => Promise<void>
}

function TimelineRow({ s, index, y, from, to, now, usual, selected, onSelect, onToggle, onMore }: RowProps) {
  const r = s.row
  const [busy, setBusy] = useState(false)
  const more = r.kind === 'more'
  const folded = r.kind === 'each' && !s.opens
  const open = async (id: string) => {
    setBusy(true)
    await onMore(id).finally(() => setBusy(false))
  }
  const t = took(r, now)
  const name = r.kind === 'attempt' ? `${r.title || 'attempt'}${r.failure ? `: ${r.failure}` : ''}` : r.title
  const select = () => (more ? void open(r.parent ?? '') : onSelect(r.id))
  return (
    <div role="row" aria-level={r.depth + 1} aria-rowindex={index + 1} aria-selected={selected} aria-expanded={s.opens ? s.open : undefined} data-state={r.state} className="tlrow" style={{ transform: `translateY(${y}px)` }} onClick={select}>
      <div role="gridcell" className="tlname" style={{ paddingLeft: 8 + 18 * r.depth }}>
        {s.opens || folded ? (
          <button
            type="button"
            className="tlopen"
            aria-expanded={s.open}
            aria-label={`${s.open ? 'Close' : 'Open'} ${r.title}`}
            onClick={(e) => {
              e.stopPropagation()
              if (folded) void open(r.id)
              else onToggle(r.id)
            }}
          >
            {r.state ? <Glyph state={r.state} /> : '+'}
          </button>
        ) : (
          <span className="tlopen">{r.state && <Glyph state={r.state} />}</span>
        )}
        <button type="button" className={`tltitle ${s.opens ? 'strong' : ''}`} aria-current={selected || undefined} title={r.failure || r.reason?.text || r.title}>
          {more ? `${r.more ?? ''} more: ${busy ? 'reading…' : 'show them'}` : name}
          <span className="vh">, {r.state}</span>
        </button>
        {!more && r.kind !== 'attempt' && <Tag>{kindWord(r)}</Tag>}
        {r.kind === 'each' && r.counts && <Counts counts={r.counts} />}
      </div>
      <div role="gridcell" className="tlbar" aria-hidden>
        {!more &&
          bars(r, s.opens || folded, from, to, now, usual).map((b, i) => (
            <span key={i} className={`b ${b.kind}`} data-state={b.kind === 'wait' ? 'waiting' : undefined} style={{ left: `${b.left}%`, width: `max(3px, ${b.width}%)` }} />
          ))}
      </div>
      <div role="gridcell" className="tltook nums">
        {Number.isNaN(t) ? usual > 0 && r.state === 'pending' && `~${duration(usual)}` : duration(t)}
      </div>
    </div>
  )
}

function Counts({ counts }: { counts: Record<string, number> }) {
  return (
    <span className="tlcounts">
      {states
        .filter((s) => counts[s])
        .map((s) => (
          <span key={s} data-state={s}>
            <Glyph state={s} title={s} /> {counts[s]}
          </span>
        ))}
    </span>
  )
}
