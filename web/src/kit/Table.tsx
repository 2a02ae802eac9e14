import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useLayoutEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { useNarrow } from '@/lib/narrow'
import { useKeys } from '@/lib/keys'
import { navigate, useQueryParam } from '@/lib/router'

export interface Column<T> {
  key: string
  title: ReactNode
  cell: (row: T) => ReactNode
  /** Width such as 120 (pixels) or "20%"; the rest is shared. */
  width?: number | string
  /** What it sorts by, for columns that can be sorted. */
  sort?: (row: T) => string | number
  /** Figures stand at the right. */
  num?: boolean
  /** Left out below 700 px. */
  wide?: boolean
}

export interface TableProps<T> {
  /** What it lists, for screen readers: "Requests". */
  label: string
  columns: Column<T>[]
  rows: T[]
  rowKey: (row: T) => string
  /** Address of a row: Enter and a click anywhere on it go there. */
  href?: (row: T) => string
  onSelect?: (row: T) => void
  /** Key of the row that is marked. */
  selected?: string
  /** Stands where there are no rows. */
  empty?: ReactNode
  /** More can be read: called when the end is near. */
  onEnd?: () => void
  rowHeight?: number
  /** Where the window is narrow, a row has room for two lines of what is cut off otherwise. */
  twoLines?: boolean
}

/**
 * Table shows rows: sorted by a click on a heading (kept in ?sort=), walked with j and k, opened with
 * Enter. However many rows there are, only those in sight are in the page.
 */
export function Table<T>(p: TableProps<T>) {
  const { columns, rows, rowKey } = p
  const narrow = useNarrow()
  const height = p.rowHeight ?? (narrow && p.twoLines ? 46 : 30)
  const [sort, setSort] = useQueryParam('sort')
  const sorted = useMemo(() => sortRows(rows, columns, sort), [rows, columns, sort])
  const box = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  useLayoutEffect(() => {
    const t = box.current ? box.current.getBoundingClientRect().top + scrollY : 0
    if (Math.abs(t - top) > 1) setTop(t)
  })
  const virtual = useWindowVirtualizer({ count: sorted.length, estimateSize: () => height, overscan: 20, scrollMargin: top, getItemKey: (i) => (sorted[i] ? rowKey(sorted[i]) : i) })
  useLayoutEffect(() => virtual.measure(), [height]) // eslint-disable-line -- only what a row measures
  const items = virtual.getVirtualItems()
  const [at, setAt] = useState('')
  const open = useCallback(
    (row: T) => {
      if (p.onSelect) p.onSelect(row)
      else if (p.href) navigate(p.href(row))
    },
    [p.onSelect, p.href],
  )
  const step = (d: number) => {
    const i = sorted.findIndex((r) => rowKey(r) === (at || p.selected))
    const to = Math.max(0, Math.min(sorted.length - 1, i + d))
    const row = sorted[to]
    if (!row) return
    setAt(rowKey(row))
    virtual.scrollToIndex(to, { align: 'auto' })
  }
  const opens = !!(p.href || p.onSelect)
  useKeys(
    [
      { keys: 'j', does: 'Next row', run: () => step(1), group: 'Lists' },
      { keys: 'k', does: 'Previous row', run: () => step(-1), group: 'Lists' },
      { keys: 'Enter', does: 'Open the row', run: () => sorted.filter((r) => rowKey(r) === at).forEach(open), group: 'Lists' },
    ],
    opens && sorted.length > 0,
  )
  const last = items.at(-1)?.index ?? 0
  useLayoutEffect(() => {
    if (p.onEnd && last >= rows.length - 20) p.onEnd()
  }, [last, rows.length, p.onEnd])
  if (rows.length === 0) return <>{p.empty}</>
  const before = (items[0]?.start ?? top) - top
  const after = virtual.getTotalSize() - ((items.at(-1)?.end ?? top) - top)
  return (
    <div ref={box} className="tablebox">
      <table className="table" aria-label={p.label} aria-rowcount={sorted.length + 1}>
        <colgroup>
          {columns.map((c) => (
            <col key={c.key} className={c.wide ? 'wideonly' : undefined} style={{ width: c.width }} />
          ))}
        </colgroup>
        <thead>
          <tr>
            {columns.map((c) => (
              <Heading key={c.key} column={c} sort={sort} onSort={setSort} />
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && <tr aria-hidden style={{ height: before }} />}
          {items.map((v) => {
            const row = sorted[v.index]
            if (!row) return null
            const key = rowKey(row)
            return (
              <tr
                key={key}
                aria-rowindex={v.index + 2}
                className={opens ? 'opens' : undefined}
                data-at={key === at || undefined}
                aria-selected={p.selected === undefined ? undefined : key === p.selected}
                style={{ height }}
                onClick={(e) => {
                  if (!opens || (e.target as HTMLElement).closest('a, button, input, label') || String(getSelection())) return
                  open(row)
                }}
              >
                {columns.map((c) => (
                  <td key={c.key} className={`${c.num ? 'num' : ''} ${c.wide ? 'wideonly' : ''}`}>
                    {c.cell(row)}
                  </td>
                ))}
              </tr>
            )
          })}
          {after > 0 && <tr aria-hidden style={{ height: after }} />}
        </tbody>
      </table>
    </div>
  )
}

function Heading<T>({ column: c, sort, onSort }: { column: Column<T>; sort: string; onSort: (s: string) => void }) {
  const up = sort === c.key
  const down = sort === '-' + c.key
  return (
    <th scope="col" className={`${c.num ? 'num' : ''} ${c.wide ? 'wideonly' : ''}`} aria-sort={up ? 'ascending' : down ? 'descending' : undefined}>
      {c.sort ? (
        <button type="button" onClick={() => onSort(up ? '-' + c.key : down ? '' : c.key)} title="Sort">
          {c.title}
          <span aria-hidden>{up ? ' ↑' : down ? ' ↓' : ''}</span>
        </button>
      ) : (
        c.title
      )}
    </th>
  )
}

/** sortRows returns rows in the order that sort names: a column's key, with - before it downwards. */
export function sortRows<T>(rows: T[], columns: Column<T>[], sort: string): T[] {
  const by = columns.find((c) => c.key === sort.replace(/^-/, ''))?.sort
  if (!sort || !by) return rows
  const sign = sort.startsWith('-') ? -1 : 1
  return rows.toSorted((a, b) => {
    const x = by(a)
    const y = by(b)
    return x === y ? 0 : (x < y ? -1 : 1) * sign
  })
}
