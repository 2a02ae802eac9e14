import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Glyph, Panel, Time } from '@/kit'
import { duration } from '@/lib/format'
import { useMe } from '@/lib/me'
import { Link } from '@/lib/router'
import { nameOf, pathOf } from '@/views/form/model'
import type { Schema } from '@/views/schema'
import { Values } from './Review'
import { usualOf, useUses } from './stats'
import type { Planned } from './usePlan'

/** Summary stands beside the form: what it comes to, what is missing, and what was asked for before. */
export function Summary({ entry, params, planned, onCopy }: { entry: Schemas['Entry']; params: Record<string, unknown>; planned: Planned; onCopy: (params: unknown) => void }) {
  const me = useMe()
  const earlier = useGet('/v1/namespaces/{namespace}/requests', { query: { type: entry.type, requester: me.subject, limit: 50 } }, { staleTime: 30_000 })
  const mine = (earlier.data?.items ?? []).filter((r) => r.entry === entry.name)
  const usual = usualOf(useUses().get(entry.name))
  const { plan } = planned
  const approvals = plan?.steps?.filter((s) => s.use === 'approval') ?? []
  const fields = (entry.schema as Schema | undefined)?.properties ?? {}
  const missing = planned.problems.map(pathOf).filter((k, i, all) => k !== '' && all.indexOf(k) === i)
  return (
    <aside aria-label="Summary">
      <Panel title="In short">
        <p aria-live="polite">
          {plan ? (
            <>
              <Glyph state="succeeded" /> Makes <b>{plan.name}</b> by {plan.workflow} v{plan.version}, in {plan.steps?.length ?? 0} steps
              {usual !== undefined && <span className="dim">, usually in {duration(usual)}</span>}.
            </>
          ) : missing.length > 0 ? (
            <>
              <Glyph state="pending" /> Still to be settled: {missing.map((k) => nameOf(fields[k.split('.')[0] ?? ''] ?? {}, k.split('.')[0])).join(', ')}.
            </>
          ) : (
            <span className="dim">{planned.busy ? 'Looking at what it would do…' : 'Fill in the form.'}</span>
          )}
        </p>
        {approvals.map((s) => (
          <p key={s.path}>
            <Glyph state="waiting" /> {s.title || s.path}: {s.when ? <span className="dim">asked where <code>{s.when}</code></span> : 'somebody has to approve it'}
          </p>
        ))}
        <Values value={{ ...(entry.locked ?? {}), ...params }} locked={Object.keys(entry.locked ?? {})} of={(entry.schema ?? {}) as Schema} />
      </Panel>
      {mine.length > 0 && (
        <Panel title="You asked for before">
          <ul className="steps">
            {mine.slice(0, 5).map((r) => (
              <li key={r.id}>
                <Glyph state={r.state} title={r.state} />
                <span className="clip">
                  <Link to={`/requests/${r.id}`}>{r.title || r.name}</Link> <span className="dim small"><Time at={r.created} /></span>
                </span>
                <button type="button" className="button quiet" onClick={() => onCopy(r.params)} aria-label={`Copy the values of ${r.name}`}>
                  Copy values
                </button>
              </li>
            ))}
          </ul>
        </Panel>
      )}
    </aside>
  )
}
