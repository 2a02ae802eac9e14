import { useGet } from '@/api/hooks'
import type { Reason } from '@/api/types'
import { Glyph, Time } from '@/kit'
import { person } from '@/lib/format'
import { Link } from '@/lib/router'

/** Says words a reason: what is waited for, who can end it, until when. */
function Says({ r }: { r: Reason }) {
  return (
    <>
      {r.text}
      {r.who && r.who.length > 0 && <span className="dim"> For {r.who.map(person).join(' or ')} to decide.</span>}
      {r.holders && r.holders.length > 0 && (
        <span className="dim">
          {' '}
          Held by{' '}
          {r.holders.map((h, i) => (
            <Link key={i} to={`/runs/${h.run}?row=${encodeURIComponent(`${h.run}/${h.task}`)}`}>
              {h.task}{' '}
            </Link>
          ))}
        </span>
      )}
      {(r.ahead ?? 0) > 0 && <span className="dim"> {r.ahead} are before it.</span>}
      {r.until && !r.until.startsWith('0001') && (
        <span className="dim">
          {' '}
          It ends <Time at={r.until} />.
        </span>
      )}
    </>
  )
}

/** WhyWaiting says exactly what a run, or one task of it, waits for. */
export function WhyWaiting({ run, task = '', reason }: { run: string; task?: string; reason?: Reason | undefined }) {
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}/why', { path: { id: run } }, { retry: false })
  const items = (q.data?.items ?? []).filter((i) => !task || i.task === task || i.run !== run)
  // What merely comes after something else that waits explains nothing; it is told where nothing else is.
  const told = items.flatMap((i) => (i.reasons ?? []).map((r) => ({ i, r })))
  const roots = told.filter(({ r }) => r.kind !== 'after' && r.kind !== 'run')
  const all = roots.length ? roots : told
  return (
    <div className="banner" data-state="waiting">
      <Glyph state="waiting" />
      <div className="grow">
        <b>{task ? 'Why it waits' : 'Why nothing goes on'}</b>
        <ul className="why">
          {all.slice(0, 6).map(({ i, r }, n) => (
            <li key={n}>
              {!task && <b>{i.title || i.task}: </b>}
              <Says r={r} />
            </li>
          ))}
          {all.length === 0 && reason && (
            <li>
              <Says r={reason} />
            </li>
          )}
        </ul>
        {all.length > 6 && <p className="dim">and {all.length - 6} more</p>}
      </div>
    </div>
  )
}
