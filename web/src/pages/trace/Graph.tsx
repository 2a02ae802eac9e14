import { useMemo } from 'react'
import { useGet } from '@/api/hooks'
import type { Graph as Plan } from '@/api/types'
import { Button, Loaded } from '@/kit'
import { useNow } from '@/lib/clock'
import { useKeys } from '@/lib/keys'
import { setQuery, useQueryParam } from '@/lib/router'
import { GraphView, type GraphOptions } from '@/views/graph/GraphView'
import type { Graph } from '@/views/graph/model'
import { statuses, type Row } from './model'

/** GraphTab is the plan of a run as it stands; the server has laid it out. */
export function GraphTab({ run, rows, at, live, selected, onSelect }: { run: string; rows: Row[]; at: number; live: boolean; selected: string; onSelect: (id: string) => void }) {
  const [open] = useQueryParam('open')
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}/graph', { path: { id: run }, query: { ...(at ? { at } : {}), ...(open && { open }) } }, { placeholderData: (old) => old })
  return (
    <section className="panel graphbox" aria-label="Graph">
      <Loaded query={q} what="The plan cannot be read" rows={8}>
        {(g) => <Drawing plan={g} run={run} rows={rows} live={live && !at} selected={selected} onSelect={onSelect} />}
      </Loaded>
    </section>
  )
}

function Drawing({ plan, run, rows, live, selected, onSelect }: { plan: Plan; run: string; rows: Row[]; live: boolean; selected: string; onSelect: (id: string) => void }) {
  const [open] = useQueryParam('open')
  const [shut] = useQueryParam('shut')
  const [only] = useQueryParam('only')
  const [follow, setFollow] = useQueryParam('follow')
  const now = useNow(live)
  const graph = useMemo<Graph>(() => ({ ...plan, nodes: (plan.nodes ?? []) as Graph['nodes'], edges: (plan.edges ?? []) as Graph['edges'] }), [plan])
  const status = useMemo(() => statuses(plan.nodes ?? [], rows, run), [plan, rows, run])
  const options = useMemo<GraphOptions>(() => ({ follow: follow === 'on', shut: shut ? shut.split(',') : [], only: only === 'failed' || only === 'critical' ? only : undefined }), [follow, shut, only])
  useKeys([{ keys: 'f', does: 'Follow what runs', run: () => setFollow(follow ? '' : 'on'), group: 'Page' }])
  const own = selected.startsWith(run + '/') ? selected.slice(run.length + 1) : undefined
  return (
    <GraphView
      graph={graph}
      status={status}
      now={now}
      options={options}
      onOptions={(o) => setQuery({ follow: o.follow ? 'on' : '', shut: (o.shut ?? []).join(','), only: o.only ?? '' })}
      onOpen={(id) => setQuery({ open: [...open.split(',').filter(Boolean), id].join(',') })}
      selected={own}
      onSelect={(id) => onSelect(id ? `${run}/${id}` : '')}
      label="Plan of the run"
    />
  )
}

/** AsOf is the slider of time: how a run stood after each of its events. Kept in ?at=. */
export function AsOf({ seq, at, asOf }: { seq: number; at: number; asOf: string | undefined }) {
  if (seq < 2) return null
  return (
    <label className="asof" data-now={at ? undefined : true}>
      <span>{at ? `After event ${at} of ${seq}${asOf ? `, ${new Date(asOf).toTimeString().slice(0, 8)}` : ''}` : 'Now'}</span>
      <input type="range" min={1} max={seq} value={at || seq} aria-label="As of event" onChange={(e) => setQuery({ at: Number(e.target.value) >= seq ? '' : e.target.value })} />
      {at > 0 && <Button onClick={() => setQuery({ at: '' })}>Back to now</Button>}
    </label>
  )
}
