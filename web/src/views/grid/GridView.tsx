import { useEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from 'react'
import { canvas, usePalette, type Palette } from '../palette'
import { useSize } from '../size'
import { Glyph } from '@/kit/Chip'
import type { State } from '../state'
import { span } from '../graph/text'
import { say } from './say'
import { cellSize, hit, moved, pitch, type GridData, type Place } from './model'
import './grid.css'

export interface GridViewProps {
  data: GridData
  now: number
  onOpen: (p: Place) => void // Enter or click; task -1 is the run itself
  table?: boolean // as a table instead, for who cannot use a picture
  onTable: (on: boolean) => void
  label: string
}

/** GridView shows the last runs of a workflow by their tasks: a column a run, a row a task, a cell how it went. */
export function GridView(p: GridViewProps) {
  return (
    <div className="hist">
      <div className="hist-bar">
        <Legend />
        <button type="button" aria-pressed={p.table === true} onClick={() => p.onTable(!p.table)}>
          As a table
        </button>
      </div>
      {p.table ? <Table {...p} /> : <Picture {...p} />}
    </div>
  )
}

function Legend() {
  const of: State[] = ['succeeded', 'failed', 'running', 'waiting', 'skipped', 'cancelled']
  return (
    <span className="hist-legend">
      {of.map((s) => (
        <span key={s} data-state={s}>
          <Glyph state={s} />
          {s}
        </span>
      ))}
    </span>
  )
}

function Picture(p: GridViewProps) {
  const { data } = p
  const pane = useRef<HTMLDivElement>(null)
  const sheet = useRef<HTMLCanvasElement>(null)
  const palette = usePalette(pane)
  const size = useSize(pane)
  const [top, setTop] = useState(0)
  const [hover, setHover] = useState<Place>()
  const [at, setAt] = useState<Place>({ run: Math.max(0, data.runs.length - 1), task: -1 })
  const [focused, setFocused] = useState(false)
  const width = data.runs.length * pitch,
    height = (data.tasks.length + 1) * pitch
  // Only the rows in sight are painted: the canvas is as high as the pane, and stays in it.
  const first = Math.max(0, Math.floor(top / pitch) - 1)
  const rows = Math.ceil(size.h / pitch) + 3
  const view = useMemo(() => ({ first, last: Math.min(data.tasks.length + 1, first + rows) }), [first, rows, data])
  const tall = (view.last - view.first) * pitch
  const marked = hover ?? (focused ? at : undefined)

  useEffect(() => {
    if (!sheet.current || !palette || size.h === 0) return
    const ctx = canvas(sheet.current, Math.max(1, width), Math.max(1, tall))
    if (ctx) paint(ctx, data, palette, view.first, view.last, marked)
  }, [data, palette, view, width, tall, size.h, marked])

  const placeOf = (e: MouseEvent) => {
    const r = sheet.current!.getBoundingClientRect()
    return hit(data, e.clientX - r.left, e.clientY - r.top + view.first * pitch)
  }
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.key === 'Enter') p.onOpen(at)
    else {
      const to = moved(data, at, e.key, Math.max(1, Math.floor(size.h / pitch) - 2))
      if (!to) return
      setAt(to)
      setHover(undefined)
      const y = (to.task + 1) * pitch
      const el = pane.current!
      if (y < el.scrollTop) el.scrollTop = y
      else if (y + pitch > el.scrollTop + el.clientHeight) el.scrollTop = y + pitch - el.clientHeight
    }
    e.preventDefault()
    e.stopPropagation()
  }
  const longest = useMemo(() => data.tasks.reduce((l, t) => (t.title.length + 2 * t.depth > l.length ? '\u2007'.repeat(2 * t.depth) + t.title : l), ''), [data])
  const names = []
  for (let i = Math.max(1, view.first); i < view.last; i++) {
    const t = data.tasks[i - 1]!
    names.push(
      <span key={t.path} title={t.path} data-on={marked?.task === i - 1 || undefined} style={{ top: i * pitch, paddingLeft: t.depth * 10 }}>
        {t.title}
      </span>,
    )
  }
  return (
    <>
      <div
        className="hist-pane"
        ref={pane}
        tabIndex={0}
        role="application"
        aria-roledescription="grid of runs and tasks"
        aria-label={`${p.label}. Arrow keys move, Enter opens, “As a table” shows it as a table.`}
        onScroll={(e) => setTop(e.currentTarget.scrollTop)}
        onKeyDown={onKeyDown}
        onFocus={() => setFocused(true)}
        onBlur={() => setFocused(false)}
      >
        <div className="hist-names" style={{ height }} aria-hidden="true" data-longest={longest}>
          {names}
        </div>
        <div className="hist-cells" style={{ width, height }}>
          <canvas
            ref={sheet}
            aria-hidden="true"
            style={{ top: view.first * pitch, width, height: tall }}
            data-hit={hover ? true : undefined}
            onMouseMove={(e) => setHover(placeOf(e))}
            onMouseLeave={() => setHover(undefined)}
            onClick={(e) => {
              const q = placeOf(e)
              if (q) {
                setAt(q)
                p.onOpen(q)
              }
            }}
          />
        </div>
      </div>
      <p className="hist-says" role="status">
        {marked ? say(data, marked, p.now) : 'A column is a run, the newest at the right; a row is a task. Point at a cell to read it, click to open it.'}
      </p>
    </>
  )
}

function paint(ctx: CanvasRenderingContext2D, d: GridData, palette: Palette, first: number, last: number, mark: Place | undefined) {
  const square = (run: number, row: number, state: State | undefined) => {
    const x = run * pitch,
      y = (row - first) * pitch
    if (!state) {
      ctx.globalAlpha = 0.4
      ctx.fillStyle = palette.line
      ctx.fillRect(x + 5, y + 5, 2, 2)
      return
    }
    ctx.globalAlpha = state === 'pending' || state === 'skipped' ? 0.3 : 1
    ctx.fillStyle = palette.state[state]
    ctx.beginPath()
    ctx.roundRect(x, y, cellSize, row === 0 ? cellSize - 2 : cellSize, 2)
    ctx.fill()
    // Red and green look alike to some: what failed has a mark of its own.
    if (state === 'failed' || state === 'waiting') {
      ctx.globalAlpha = 1
      ctx.strokeStyle = palette.panel
      ctx.lineWidth = 1.5
      ctx.beginPath()
      if (state === 'failed')
        for (const [a, b] of [
          [3.5, 8.5],
          [8.5, 3.5],
        ] as const) {
          ctx.moveTo(x + a, y + 3.5)
          ctx.lineTo(x + b, y + 8.5)
        }
      else
        for (const a of [4.5, 7.5]) {
          ctx.moveTo(x + a, y + 3.5)
          ctx.lineTo(x + a, y + 8.5)
        }
      ctx.stroke()
    }
  }
  for (let row = first; row < last; row++) {
    for (let run = 0; run < d.runs.length; run++) square(run, row, row === 0 ? d.runs[run]!.state : d.cell(run, row - 1)?.state)
  }
  if (mark) {
    ctx.globalAlpha = 1
    ctx.strokeStyle = palette.ink
    ctx.lineWidth = 2
    ctx.strokeRect(mark.run * pitch, (mark.task + 1 - first) * pitch, cellSize, cellSize)
  }
}

/** The most rows of the table at once. */
const tableRows = 200

function Table(p: GridViewProps) {
  const { data } = p
  const [from, setFrom] = useState(0)
  const tasks = data.tasks.slice(from, from + tableRows)
  return (
    <div className="hist-table" tabIndex={0} role="region" aria-label={p.label}>
      <table>
        <thead>
          <tr>
            <th scope="col">Task</th>
            {data.runs.map((r, i) => (
              <th key={r.id} scope="col">
                <button type="button" onClick={() => p.onOpen({ run: i, task: -1 })}>
                  {r.title}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {tasks.map((t, k) => (
            <tr key={t.path}>
              <th scope="row">{t.title}</th>
              {data.runs.map((r, i) => {
                const c = data.cell(i, from + k)
                return (
                  <td key={r.id} data-state={c?.state}>
                    {c ? (
                      <>
                        <Glyph state={c.state} /> {c.state}
                        {c.ms !== undefined && ' ' + span(c.ms)}
                      </>
                    ) : (
                      '–'
                    )}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {data.tasks.length > tableRows && (
        <p className="hist-pages">
          Tasks {from + 1} to {Math.min(from + tableRows, data.tasks.length)} of {data.tasks.length}{' '}
          <button type="button" disabled={from === 0} onClick={() => setFrom(from - tableRows)}>
            Previous
          </button>{' '}
          <button type="button" disabled={from + tableRows >= data.tasks.length} onClick={() => setFrom(from + tableRows)}>
            Next
          </button>
        </p>
      )}
    </div>
  )
}
