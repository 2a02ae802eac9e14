import { useVirtualizer } from '@tanstack/react-virtual'
import { memo, useEffect, useRef, useState } from 'react'
import { useGet } from '@/api/hooks'
import type { LogLine } from '@/api/types'
import { Button, Empty, ErrorBox, Skeleton } from '@/kit'
import { useKeys } from '@/lib/keys'
import { setQuery, useAddress, useQueryParam } from '@/lib/router'
import { pieces } from './ansi'
import { useLog } from './useLog'

export interface LogViewProps {
  run: string
  task?: string
  attempt?: number
  /** Height in CSS, such as "320px". */
  height: string
  /** With find, links to lines, and the name of the task of each line. */
  full?: boolean
}

/** LogView shows a log however long it is; it follows the end until one scrolls up. */
export function LogView({ run, task = '', attempt = 0, height, full }: LogViewProps) {
  const log = useLog(run, task, attempt)
  const box = useRef<HTMLDivElement>(null)
  const { query } = useAddress()
  const line = full ? Number(query.get('line') ?? 0) : 0
  const [find, setFind] = useQueryParam('find')
  const [follow, setFollow] = useState(!line)
  const wanted = full ? find.trim() : ''
  const hits = useGet('/v1/namespaces/{namespace}/runs/{id}/log', { path: { id: run }, query: { find: wanted, limit: 10000, ...(task && { task }) } }, { enabled: !!wanted, meta: { live: false } })
  const found = wanted ? (hits.data?.lines ?? []).map((l) => l.pos ?? 0) : []
  const hit = new Set(found)
  const virtual = useVirtualizer({ count: log.lines.length, getScrollElement: () => box.current, estimateSize: () => 18, overscan: 20 })
  useEffect(() => {
    if (follow && log.lines.length) virtual.scrollToIndex(log.lines.length - 1, { align: 'end' })
  }, [follow, log.lines.length])
  const jump = (pos: number) => {
    setFollow(false)
    virtual.scrollToIndex(indexOf(log.lines, pos), { align: 'center' })
  }
  useEffect(() => {
    if (line && log.lines.length && (log.lines.at(-1)?.pos ?? 0) >= line) jump(line)
  }, [line, log.whole])
  const to = (d: number) => {
    const i = found.indexOf(line)
    const next = found[i < 0 ? (d > 0 ? 0 : found.length - 1) : (i + d + found.length) % found.length]
    if (next) {
      setQuery({ line: String(next) })
      jump(next)
    }
  }
  useKeys([{ keys: 'f', does: 'Follow the end of the log', run: () => setFollow(true), group: 'Page' }])
  if (log.error && log.lines.length === 0) return <ErrorBox error={log.error} what="The log cannot be read" />
  if (log.whole && log.lines.length === 0) return <Empty title="Nothing was written">{log.over ? 'No task of it wrote a line.' : 'Lines appear here as they are written.'}</Empty>
  if (log.lines.length === 0) return <Skeleton rows={4} height={18} />
  return (
    <>
      {full && (
        <div className="logbar">
          <input type="search" aria-label="Find in the whole log" placeholder="Find in the whole log" value={find} onChange={(e) => setFind(e.target.value)} onKeyDown={(e) => e.key === 'Enter' && to(e.shiftKey ? -1 : 1)} />
          {wanted && (
            <>
              <span className="dim nums" role="status">
                {hits.isFetching ? 'looking…' : `${found.length.toLocaleString('en')} ${found.length === 1 ? 'line' : 'lines'}`}
              </span>
              <Button onClick={() => to(-1)} off={found.length ? undefined : 'nothing was found'} aria-label="Previous hit">
                ↑
              </Button>
              <Button onClick={() => to(1)} off={found.length ? undefined : 'nothing was found'} aria-label="Next hit">
                ↓
              </Button>
            </>
          )}
          <div className="actions">
            <Button aria-pressed={follow} onClick={() => setFollow(!follow)}>
              {follow ? 'Following' : 'Follow'} <kbd>f</kbd>
            </Button>
            <Button onClick={() => download(log.lines, run)}>Download</Button>
          </div>
        </div>
      )}
      <div
        ref={box}
        className="logview"
        role="log"
        aria-live="off"
        aria-label="Log"
        tabIndex={0}
        style={{ height: full ? height : `min(${height}, ${virtual.getTotalSize() + 2}px)` }}
        onScroll={(e) => {
          const b = e.currentTarget
          setFollow(b.scrollTop + b.clientHeight >= b.scrollHeight - 20)
        }}
      >
        <div style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((v) => {
            const l = log.lines[v.index]
            return l && <Line key={l.pos ?? v.index} l={l} y={v.start} at={l.pos === line} hit={hit.has(l.pos ?? -1)} full={!!full} />
          })}
        </div>
      </div>
      <div className="logbar dim small">
        {log.over ? 'ended' : log.whole ? 'following' : 'reading'} · {log.lines.length.toLocaleString('en')} lines
      </div>
    </>
  )
}

const Line = memo(function Line({ l, y, at, hit, full }: { l: LogLine; y: number; at: boolean; hit: boolean; full: boolean }) {
  return (
    <div className="ln" style={{ transform: `translateY(${y}px)` }} data-at={at || undefined} data-hit={hit || undefined}>
      {full && (
        <a
          href={`?${lineQuery(l.pos ?? 0)}`}
          tabIndex={-1}
          aria-label={`Line ${l.pos}`}
          onClick={(e) => {
            e.preventDefault()
            setQuery({ line: String(l.pos ?? '') })
          }}
        >
          {l.pos}
        </a>
      )}
      <span className="tm">{full ? '' : ' '}{l.at ? new Date(l.at).toTimeString().slice(0, 8) : ''}</span>
      {full && <span className="tk">{l.task}</span>}
      <span className={l.stream === 'err' ? 'e' : undefined}>
        {pieces(l.text).map((p, i) => (
          <span key={i} className={p.className || undefined}>
            {p.text}
          </span>
        ))}
      </span>
    </div>
  )
})

function lineQuery(pos: number): string {
  const q = new URLSearchParams(location.search)
  q.set('line', String(pos))
  return q.toString()
}

/** indexOf returns where the line with a number is, or would be. */
function indexOf(lines: LogLine[], pos: number): number {
  let low = 0
  let high = lines.length - 1
  while (low < high) {
    const mid = (low + high) >> 1
    if ((lines[mid]!.pos ?? 0) < pos) low = mid + 1
    else high = mid
  }
  return Math.max(0, low)
}

function download(lines: LogLine[], run: string) {
  const text = lines.map((l) => `${l.at ?? ''} ${l.task ?? ''} ${l.text}`).join('\n') + '\n'
  const a = document.createElement('a')
  a.href = URL.createObjectURL(new Blob([text], { type: 'text/plain' }))
  a.download = `${run}.log`
  a.click()
  setTimeout(() => URL.revokeObjectURL(a.href), 1000)
}
