import type { ReactNode } from 'react'
import { groupBy } from '@/lib/group'
import { Json } from './Json'

/** Values draws data as people read it: a table of simple values by group, and JSON where it is too large or too deep for that. */
export function Values({ value, label }: { value: unknown; label: string }) {
  if (typeof value === 'string') return <p className="shown">{value}</p>
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return <Json value={value} label={label} />
  const rows = flat(value as Record<string, unknown>)
  if (rows.length === 0 || rows.length > 80) return <Json value={value} label={label} />
  const loose = rows.filter(([k]) => !k.includes('.'))
  const groups = groupBy(rows.filter(([k]) => k.includes('.')), ([k]) => k.slice(0, k.indexOf('.')))
  return (
    <>
      {loose.length > 0 && <Rows rows={loose} />}
      {[...groups].map(([g, of]) => (
        <section key={g} className="stack shownpart" aria-label={g}>
          <b className="cap">{g}</b>
          <Rows rows={of.map(([k, v]) => [k.slice(g.length + 1), v])} />
        </section>
      ))}
    </>
  )
}

/** ValuesAndJson is Values with the same as JSON to unfold and copy. */
export function ValuesAndJson({ value, label }: { value: unknown; label: string }) {
  return (
    <>
      <Values value={value} label={label} />
      <details className="asjson">
        <summary>As JSON</summary>
        <Json value={value} label={label} />
      </details>
    </>
  )
}

function Rows({ rows }: { rows: [string, unknown][] }) {
  return (
    <dl className="shownrows">
      {rows.map(([k, v]) => (
        <div key={k}>
          <dt>{k}</dt>
          <dd>{said(v)}</dd>
        </div>
      ))}
    </dl>
  )
}

function said(v: unknown): ReactNode {
  if (typeof v === 'string') return v || <span className="dim">empty</span>
  if (typeof v === 'boolean') return v ? 'yes' : 'no'
  if (v === null || v === undefined) return <span className="dim">none</span>
  if (typeof v === 'number') return String(v)
  if (Array.isArray(v) && v.every((x) => typeof x === 'string' || typeof x === 'number')) return v.length ? v.join(', ') : <span className="dim">none</span>
  return <code>{JSON.stringify(v)}</code>
}

/** flat lists the values of nested objects with their paths. */
export function flat(value: Record<string, unknown>, before = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([k, v]): [string, unknown][] => {
    const path = before ? `${before}.${k}` : k
    return typeof v === 'object' && v !== null && !Array.isArray(v) ? flat(v as Record<string, unknown>, path) : [[path, v]]
  })
}
