import { useMemo } from 'react'
import { useGet } from '@/api/hooks'
import { ended } from '@/api/types'
import { Empty, Facts, Id, LinkButton, Loaded, Page, StateChip, Tabs, Time, useCopyKey } from '@/kit'
import { clock, duration, milliseconds, person } from '@/lib/format'
import { now } from '@/lib/clock'
import { useSteady } from '@/lib/steady'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { Actions } from './Actions'
import { Detail } from './Detail'
import { Events } from './Events'
import { Failed } from './Failed'
import { Files } from './Files'
import { AsOf, GraphTab } from './Graph'
import { interesting, when, type Row, type TraceView } from './model'
import { PlanTab } from './Plan'
import { RunLog } from './RunLog'
import { Timeline } from './Timeline'
import { useTrace } from './useTrace'
import { Variables } from './Variables'
import { WhyWaiting } from './Why'
import './trace.css'

/** TracePage is the page of a request or a run: everything of its trace. kind says which of them it was asked for. */
export function TracePage({ id, kind }: { id: string; kind: 'request' | 'run' }) {
  const { query, open } = useTrace(id)
  const list = kind === 'request' ? '/requests' : '/runs'
  if (!query.data)
    return (
      <Page title={kind === 'request' ? 'Request' : 'Run'} crumbs={[[kind === 'request' ? 'Requests' : 'Runs', list], [id, '']]}>
        {query.error?.status === 404 ? (
          <Empty title={`There is no ${kind} ${id} here`} action={<LinkButton to={list}>All {kind}s</LinkButton>}>
            It may be in another namespace.
          </Empty>
        ) : (
          <Loaded query={query} what={`The ${kind} cannot be read`} rows={12}>
            {() => null}
          </Loaded>
        )}
      </Page>
    )
  return <Whole id={id} kind={kind} view={query.data} onOpen={open} />
}

const noRows: Row[] = []

function Whole({ id, kind, view, onOpen }: { id: string; kind: 'request' | 'run'; view: TraceView; onOpen: (id: string) => Promise<void> }) {
  const rows = view.rows ?? noRows
  const [tab] = useQueryParam('tab', 'timeline')
  const [picked] = useQueryParam('row')
  const [task] = useQueryParam('task')
  const [atText] = useQueryParam('at')
  const at = Number(atText) || 0
  const runs = useMemo(() => [...new Set(rows.flatMap((r) => (r.kind === 'run' ? [r.run ?? ''] : r.sub ? [r.sub] : [])).filter(Boolean))], [rows])
  const [chosen] = useQueryParam('run')
  const mine = kind === 'run' ? id : (rows.find((r) => r.id === id)?.run ?? view.run ?? '')
  const run = runs.includes(chosen) ? chosen : mine
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}', { path: { id: mine } }, { enabled: !!mine })
  const shownRun = useGet('/v1/namespaces/{namespace}/runs/{id}', { path: { id: run }, ...(at ? { query: { at } } : {}) }, { enabled: !!run })
  const own = rows.find((r) => r.id === id)
  const state = (own?.kind === 'request' ? own.state : q.data?.state) ?? view.state
  // Many tasks a second may begin and end: what is told about is held long enough to be read.
  const auto = useSteady(useMemo(() => interesting(rows)?.id ?? mine, [rows, mine]), 1000)
  const selected = picked || (task ? `${id}/${task}` : auto)
  const row = rows.find((r) => r.id === selected) ?? rows.find((r) => r.run && `${r.run}/${r.task}` === selected)
  useCopyKey(id)
  const select = (row: string) => setQuery({ row, task: '' })
  const title = own?.kind === 'request' ? own.title || view.title || id : q.data?.title || view.title || q.data?.workflow || id
  const expected = q.data?.expected
  const started = own?.started ?? q.data?.created ?? view.started
  const first = rows.find((r) => (r.kind === 'request' || r.kind === 'run') && r.state === 'failed' && r.id !== id)
  return (
    <Page
      title={title}
      chip={
        <StateChip state={state}>
          <span className="cap">{state}</span>
          {(q.data?.flags ?? []).map((f) => (
            <span key={f} className="dim">
              {f}
            </span>
          ))}
        </StateChip>
      }
      crumbs={[[kind === 'request' ? 'Requests' : 'Runs', kind === 'request' ? '/requests' : '/runs'], ...(kind === 'run' && view.request ? ([[view.title || view.request, `/requests/${view.request}`]] as [string, string][]) : []), [id, '']]}
      actions={<Actions view={view} run={q.data} />}
      cli={`tutti watch ${id}`}
    >
      <Facts
        items={[
          [kind === 'request' ? 'Request' : 'Run', <Id id={id} />],
          ['Trace', <Id id={view.trace} />],
          ['Workflow', view.workflow && <Link to={`/workflows/${q.data?.workflow ?? view.workflow}`}>{(q.data?.workflow ?? view.workflow) + (q.data?.version ? ` v${q.data.version}` : '')}</Link>],
          ['Asked by', person(view.by)],
          ['Started', started && <><span className="nums">{clock(when(started), now())}</span>, <Time at={started} /></>],
          ['Usually takes', expected && `${duration(milliseconds(expected.p50))} (p90 ${duration(milliseconds(expected.p90))})`],
          ['Runs of this trace', view.runs + view.requests > 2 ? `${view.runs}${first?.ended ? ` (first failed ${clock(when(first.ended), now())})` : ''}` : ''],
        ]}
      />
      {state === 'failed' && <Failed rows={rows} onShow={select} />}
      {!ended(state) && state === 'waiting' && mine && <WhyWaiting run={mine} reason={q.data?.reason} />}
      <Tabs
        label="Parts of the page"
        keys
        value={tab}
        onChange={(t) => setQuery({ tab: t === 'timeline' ? '' : t, find: '', line: '', log: '' }, { push: true })}
        tabs={[
          { id: 'timeline', label: 'Timeline' },
          { id: 'graph', label: 'Graph' },
          { id: 'plan', label: 'Plan and diff' },
          { id: 'logs', label: 'Logs' },
          { id: 'variables', label: 'Variables' },
          { id: 'files', label: 'Files' },
          { id: 'events', label: shownRun.data ? `Events ${shownRun.data.seq}` : 'Events' },
        ]}
      >
        {['graph', 'logs', 'variables', 'events'].includes(tab) && <Chooser rows={rows} runs={runs} run={run} />}
        {['timeline', 'graph', 'variables'].includes(tab) && run && <AsOf seq={(at ? q.data?.seq : shownRun.data?.seq) ?? 0} at={at} asOf={shownRun.data?.asOf} />}
        {tab === 'graph' || tab === 'timeline' ? (
          <div className={`tracebody ${tab === 'graph' && !picked ? 'alone' : ''}`}>
            {tab === 'graph' ? run ? <GraphTab key={run} run={run} rows={rows} at={at} live={!ended(state)} selected={picked} onSelect={select} /> : <NoRun /> : <Timeline view={view} moment={at && shownRun.data?.asOf ? when(shownRun.data.asOf) : 0} selected={row?.id ?? ''} onSelect={select} onOpen={onOpen} />}
            {row && (tab === 'timeline' || picked) && <Detail key={row.id} row={row} at={row.run === run ? at : 0} />}
          </div>
        ) : tab === 'plan' ? (
          <PlanTab request={view.request ?? ''} rows={rows} />
        ) : tab === 'files' ? (
          <Files trace={view.trace} />
        ) : !run || !shownRun.data ? (
          <NoRun />
        ) : tab === 'logs' ? (
          <section className="panel" aria-label="Logs">
            <RunLog key={run} run={run} full height="max(360px, calc(100vh - 340px))" />
          </section>
        ) : tab === 'variables' ? (
          <Variables run={shownRun.data} at={at} />
        ) : (
          <Events key={run} run={run} />
        )}
      </Tabs>
    </Page>
  )
}

function NoRun() {
  return <Empty title="No run has begun yet">It is shown here from its first event.</Empty>
}

/** Chooser chooses among the runs of a trace, for the tabs that show one. */
function Chooser({ rows, runs, run }: { rows: Row[]; runs: string[]; run: string }) {
  if (runs.length < 2) return null
  const name = (r: string) => {
    const x = rows.find((y) => y.sub === r) ?? rows.find((y) => y.id === r)
    return x ? `${x.title} (${r.slice(0, 12)})` : r
  }
  return (
    <label className="asof">
      <span>Run</span>
      <select value={run} onChange={(e) => setQuery({ run: e.target.value, at: '', line: '' })} style={{ maxWidth: 420 }}>
        {runs.map((r) => (
          <option key={r} value={r}>
            {name(r)}
          </option>
        ))}
      </select>
    </label>
  )
}
