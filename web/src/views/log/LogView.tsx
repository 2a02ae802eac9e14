import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from 'react'
import { useSize } from '../size'
import { Heights } from './heights'
import { LogRow } from './LogRow'
import type { Range, Rows } from './rows'
import { Scroll } from './scroll'
import { useFind, type Search } from './useFind'
import './log.css'

/** How a log is looked at. It belongs to the page's address. */
export interface LogOptions {
  follow?: boolean
  wrap?: boolean
  times?: boolean
  tasks?: boolean // the task and attempt before each line
}

export interface LogViewProps {
  rows: Rows
  version: number // rows.version, so that a change renders
  load: (r: Range) => void // asks for rows that are missing; rows.answered says when it is over
  search: Search
  options: LogOptions
  onOptions: (o: LogOptions) => void
  line?: number | undefined // the row that is linked to, from 0
  onLine: (row: number) => void
  lineHref?: (row: number) => string
  onDownload?: () => void // gives the person the whole log as a file
  live: boolean // more lines may come
  empty: string // what to say where there are none
  label: string
  find?: string // what is looked for at first
  onFind?: ((text: string) => void) | undefined // what is looked for, once it was found or not
  compact?: boolean // it stands beside other things: fewer switches
}

const rowHeight = 18

/** LogView shows a log of any length: only the lines on the screen exist, the rest is asked for when it is looked at. */
export function LogView(p: LogViewProps) {
  const { rows, options, onOptions } = p
  const pane = useRef<HTMLDivElement>(null)
  const box = useRef<HTMLInputElement>(null)
  const view = useSize(pane)
  const [heights, setHeights] = useState(() => new Heights())
  const [place, setPlace] = useState(0) // how far down the text the top of the pane is, in pixels
  const [, measured] = useState(0)
  heights.grow(rows.total)
  const wrap = options.wrap === true
  const text = (wrap ? heights.sum : rows.total) * rowHeight
  const scroll = useMemo(() => new Scroll(text, view.h), [text, view.h])
  const topOf = (row: number) => (wrap ? heights.above(row) : row) * rowHeight
  const rowAt = (px: number) => (wrap ? heights.at(Math.floor(px / rowHeight)) : Math.min(Math.floor(px / rowHeight), Math.max(0, rows.total - 1)))

  // Wrapping and the width decide how many screen lines a row takes; they are measured anew.
  useEffect(() => setHeights(new Heights()), [wrap, view.w, rows, options.times, options.tasks])

  const follow = options.follow === true && p.live
  const at = follow ? Math.max(0, text - view.h) : Math.min(place, Math.max(0, text - view.h))
  const first = Math.max(0, rowAt(at) - 20)
  const last = Math.min(rows.total, rowAt(at + view.h) + 21)
  const lastTop = useRef(0)

  const moveTo = useCallback(
    (px: number) => {
      setPlace(px)
      if (pane.current) pane.current.scrollTop = lastTop.current = scroll.toBar(px)
    },
    [scroll],
  )
  useLayoutEffect(() => {
    // the bar is where the text is, however it came there
    if (pane.current && Math.abs(pane.current.scrollTop - scroll.toBar(at)) >= 1) pane.current.scrollTop = lastTop.current = scroll.toBar(at)
  }, [at, scroll])
  useEffect(() => {
    for (const r of rows.missing(first, last)) p.load(r)
  }, [rows, p.version, first, last]) // eslint-disable-line -- load is the same question whatever its identity
  useLayoutEffect(() => {
    if (!wrap || !pane.current) return
    let above = 0,
      news = false
    for (const el of pane.current.querySelectorAll<HTMLElement>('.log-row')) {
      const row = Number(el.dataset.row),
        was = heights.of(row)
      if (!heights.set(row, Math.round(el.offsetHeight / rowHeight))) continue
      news = true
      if (topOf(row) < at) above += heights.of(row) - was
    }
    if (news) measured((n) => n + 1)
    if (above !== 0 && !follow) setPlace(at + above * rowHeight) // what is read stays where it is
  })

  const show = useCallback(
    (row: number) => {
      if (options.follow) onOptions({ ...options, follow: false })
      const top = (wrap ? heights.above(row) : row) * rowHeight
      moveTo(Math.max(0, top - view.h / 3))
    },
    [options, onOptions, wrap, heights, view.h, moveTo],
  )
  const find = useFind(p.search, p.find ?? '', () => rowAt(at), show)

  const { onFind } = p
  useEffect(() => {
    if (onFind && !find.busy && find.text !== (p.find ?? '')) onFind(find.text)
  }, [find.text, find.busy]) // eslint-disable-line -- said once for each text

  // A link to a line shows it once there is a line.
  const shown = useRef<number>(undefined)
  useEffect(() => {
    if (p.line === undefined || p.line === shown.current || view.h === 0 || rows.total <= p.line) return
    shown.current = p.line
    const top = topOf(p.line)
    if (top < at || top > at + view.h - 2 * rowHeight) show(p.line)
  }, [p.line, view.h, rows.total]) // eslint-disable-line -- once for each line

  const onScroll = () => {
    const top = pane.current!.scrollTop
    const up = top < lastTop.current - 1
    if (Math.abs(top - lastTop.current) < 1) return
    lastTop.current = top
    const to = scroll.toText(top)
    setPlace(to)
    if (up && options.follow) onOptions({ ...options, follow: false })
    else if (!up && p.live && !options.follow && to >= text - view.h - 2) onOptions({ ...options, follow: true })
  }
  const flip = (k: keyof LogOptions) => {
    if (k === 'follow' && options.follow) setPlace(at)
    onOptions({ ...options, [k]: !options[k] })
  }
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.altKey || e.metaKey || e.ctrlKey || e.target === box.current) return
    if (e.key === 'f') flip('follow')
    else if (e.key === 'w') flip('wrap')
    else if (e.key === '/') box.current?.focus()
    else if (e.key === 'n') find.go(1)
    else if (e.key === 'N') find.go(-1)
    else if (e.key === 'd' && p.onDownload) p.onDownload()
    else return
    e.preventDefault()
    e.stopPropagation()
  }
  const onClick = (e: MouseEvent) => {
    const no = (e.target as HTMLElement).closest<HTMLElement>('[data-line]')
    if (!no || e.metaKey || e.ctrlKey) return
    e.preventDefault()
    shown.current = Number(no.dataset.line)
    p.onLine(shown.current)
  }

  const lines = []
  for (let i = first; i < last; i++) {
    lines.push(
      <LogRow
        key={i}
        row={i}
        line={rows.get(i)}
        top={topOf(i) - at + scroll.toBar(at)}
        href={p.lineHref?.(i)}
        find={find.text}
        chosen={i === p.line}
        found={find.at !== undefined && find.found?.rows[find.at] === i}
        times={options.times === true}
        tasks={options.tasks === true}
      />,
    )
  }
  return (
    <div className="log" onKeyDown={onKeyDown} data-wrap={wrap || undefined}>
      <div className="log-bar">
        <FindBox find={find} box={box} pane={pane} />
        <span className="log-switches" role="toolbar" aria-label="How to show the log">
          {p.live && (
            <Switch on={options.follow} flip={() => flip('follow')} k="f">
              Follow
            </Switch>
          )}
          <Switch on={options.wrap} flip={() => flip('wrap')} k="w">
            Wrap
          </Switch>
          {!p.compact && (
            <>
              <Switch on={options.times} flip={() => flip('times')}>
                Time
              </Switch>
              <Switch on={options.tasks} flip={() => flip('tasks')}>
                Task
              </Switch>
            </>
          )}
          {p.onDownload && (
            <button type="button" title="Download (d)" onClick={p.onDownload}>
              Download
            </button>
          )}
        </span>
      </div>
      <div className="log-pane" ref={pane} tabIndex={0} role="region" aria-label={p.label} onScroll={onScroll} onClick={onClick}>
        {rows.total === 0 ? (
          <p className="log-empty">{p.empty}</p>
        ) : (
          <div className="log-text-height" style={{ height: scroll.height }}>
            {lines}
          </div>
        )}
      </div>
      <div className="log-foot">
        {follow ? 'following · ' : ''}
        {rows.total.toLocaleString('en')} {rows.total === 1 ? 'line' : 'lines'}
        <span className="log-keys">
          {' '}
          ·{' '}
          {p.live && (
            <>
              <kbd>f</kbd> follow{' '}
            </>
          )}
          <kbd>/</kbd> find <kbd>w</kbd> wrap
          {p.onDownload && (
            <>
              {' '}
              <kbd>d</kbd> download
            </>
          )}
        </span>
      </div>
    </div>
  )
}

function Switch({ on, flip, k, children }: { on: boolean | undefined; flip: () => void; k?: string; children: string }) {
  return (
    <button type="button" aria-pressed={on === true} title={k ? `${children} (${k})` : undefined} onClick={flip}>
      {children}
    </button>
  )
}

function FindBox({
  find,
  box,
  pane,
}: {
  find: ReturnType<typeof useFind>
  box: React.RefObject<HTMLInputElement | null>
  pane: React.RefObject<HTMLDivElement | null>
}) {
  const n = find.found?.rows.length ?? 0
  const said =
    find.failed ??
    (find.busy
      ? 'looking…'
      : find.found
        ? n === 0
          ? 'not found'
          : `${(find.at ?? 0) + 1} of ${n.toLocaleString('en')}${find.found.more ? '+' : ''}`
        : '')
  const onKeyDown = (e: KeyboardEvent) => {
    if (e.key === 'Enter') find.go(e.shiftKey ? -1 : 1)
    else if (e.key === 'Escape') {
      find.set('')
      pane.current?.focus()
    } else return
    e.preventDefault()
    e.stopPropagation()
  }
  return (
    <span className="log-find" role="search" aria-label="Find in the log">
      <input
        ref={box}
        type="search"
        placeholder="Find in the whole log"
        aria-label="Find in the log"
        value={find.text}
        onChange={(e) => find.set(e.target.value)}
        onKeyDown={onKeyDown}
      />
      <span className="log-said" role="status" data-failed={find.failed ? true : undefined}>
        {said}
      </span>
      <button type="button" aria-label="Previous match" title="Previous (N)" disabled={n === 0} onClick={() => find.go(-1)}>
        ↑
      </button>
      <button type="button" aria-label="Next match" title="Next (n)" disabled={n === 0} onClick={() => find.go(1)}>
        ↓
      </button>
    </span>
  )
}
