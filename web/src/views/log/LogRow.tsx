import { memo, useMemo, type CSSProperties } from 'react'
import { legible, marked, spans, type Span } from './ansi'
import type { LogLine } from './rows'

export interface LogRowProps {
  row: number // from 0
  line: LogLine | undefined // undefined is a gap that was asked for
  top: number // in pixels
  href: string | undefined
  find: string
  chosen: boolean // the line that the address names
  found: boolean // the match that next and previous are at
  times: boolean
  tasks: boolean
}

/** LogRow is one line. Its text is only ever a text node: nothing in a log is markup. */
export const LogRow = memo(function LogRow(p: LogRowProps) {
  const { line } = p
  const parts = useMemo(() => (line ? marked(spans(line.text), p.find) : []), [line, p.find])
  return (
    <div
      className="log-row"
      data-row={p.row}
      data-chosen={p.chosen || undefined}
      data-found={p.found || undefined}
      data-stream={line?.stream}
      style={{ top: p.top }}
    >
      <a className="log-no" href={p.href} data-line={p.row} tabIndex={-1} aria-label={`Line ${p.row + 1}`}>
        {p.row + 1}
      </a>
      {p.times && <span className="log-time">{clock(line?.at)}</span>}
      {p.tasks && (
        <span className="log-task" title={line?.task}>
          {line?.task ? line.task + (line.attempt && line.attempt > 1 ? ' #' + line.attempt : '') : ''}
        </span>
      )}
      <span className="log-text">{line ? parts.map((s, i) => piece(s, i)) : <span className="log-gap">loading…</span>}</span>
    </div>
  )
})

function piece(s: Span & { mark?: boolean }, i: number) {
  const names: string[] = []
  const style: CSSProperties = {}
  if (s.fg?.startsWith('#')) style.color = s.bg ? s.fg : legible(s.fg)
  else if (s.fg) names.push('f' + s.fg)
  if (s.bg?.startsWith('#')) style.backgroundColor = s.bg
  else if (s.bg) names.push('b' + s.bg)
  for (const k of ['bold', 'dim', 'italic', 'under', 'strike'] as const) if (s[k]) names.push('log-' + k)
  if (s.mark) return <mark key={i}>{s.text}</mark>
  if (names.length === 0 && !s.fg && !s.bg) return s.text
  return (
    <span key={i} className={names.join(' ') || undefined} style={style}>
      {s.text}
    </span>
  )
}

/** clock is the time of day of a line, in the reader's zone. */
function clock(at: string | undefined): string {
  if (!at) return ''
  const t = new Date(at)
  return [t.getHours(), t.getMinutes(), t.getSeconds()].map((n) => String(n).padStart(2, '0')).join(':')
}
