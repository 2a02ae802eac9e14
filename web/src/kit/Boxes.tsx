// What stands where there is nothing to show: not yet, not any, or not possible.
import type { ReactNode } from 'react'
import { ApiError } from '@/api/client'
import { copy } from '@/lib/copy'
import { Button } from './Button'
import { Glyph } from './Chip'
import { Late } from './Panel'

/** ErrorBox says what failed, why, what to do, and the trace to look for. */
export function ErrorBox({ error, what, retry }: { error: unknown; what: string; retry?: () => void }) {
  const e = error instanceof Error ? error : new Error(String(error))
  const api = e instanceof ApiError ? e : null
  const details = JSON.stringify({ what, message: e.message, status: api?.status, kind: api?.kind, hint: api?.hint, trace: api?.trace, problems: api?.problems, page: location.href }, null, 2)
  return (
    <div className="box banner" data-state="failed" role="alert">
      <Glyph state="failed" />
      <div className="grow">
        <b>{what}</b>
        <p>
          {e.message}
          {api?.hint && <span className="dim"> {api.hint}</span>}
        </p>
        {api && api.problems.length > 0 && (
          <ul>
            {api.problems.map((p, i) => (
              <li key={i}>
                {p.location && <code>{p.location}</code>} {p.message} {p.hint && <span className="dim">{p.hint}</span>}
              </li>
            ))}
          </ul>
        )}
        {api?.trace && (
          <p className="dim small">
            Trace <code>{api.trace}</code>
          </p>
        )}
      </div>
      <div className="actions">
        <Button onClick={() => void copy(details, 'Details copied')}>Copy details</Button>
        {retry && <Button onClick={retry}>Try again</Button>}
      </div>
    </div>
  )
}

/** Empty says what belongs here, with one button and the command line that fills it. */
export function Empty({ title, children, action, cli }: { title: string; children?: ReactNode; action?: ReactNode; cli?: string }) {
  return (
    <div className="empty">
      <b>{title}</b>
      {children && <p className="dim">{children}</p>}
      {action}
      {cli && (
        <button type="button" className="cli" title="Copy" onClick={() => void copy(cli, 'Command copied')}>
          <code>{cli}</code>
        </button>
      )}
    </div>
  )
}

/** Skeleton holds the place of rows that are being read; it appears after 150 ms. */
export function Skeleton({ rows = 5, height = 30 }: { rows?: number; height?: number }) {
  return (
    <Late>
      <div className="skeletons" role="status" aria-label="Loading">
        {Array.from({ length: rows }, (_, i) => (
          <div key={i} className="skeleton" style={{ height }} />
        ))}
      </div>
    </Late>
  )
}

interface Query<T> {
  data: T | undefined
  error: unknown
  isPending: boolean
  refetch: () => unknown
}

/** Loaded draws an answer; while there is none, a skeleton, or why there will be none. */
export function Loaded<T>({ query, what, rows, children }: { query: Query<T>; what: string; rows?: number; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>
  if (query.error) return <ErrorBox error={query.error} what={what} retry={() => void query.refetch()} />
  return <Skeleton rows={rows ?? 5} />
}
