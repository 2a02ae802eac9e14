import { useInfiniteQuery } from '@tanstack/react-query'
import { lazy, Suspense, useMemo, useState } from 'react'
import { fetchGet, useGet } from '@/api/hooks'
import { ended, states, type Run, type State } from '@/api/types'
import { Button, Empty, FilterChip, Id, Loaded, Page, Panel, Skeleton, StateChip, Table, Tag, Time, Took, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { Bulk } from './Bulk'
import { sum } from './choose'

const History = lazy(() => import('./History'))
const path = '/v1/namespaces/{namespace}/runs'

const columnsOf = (picked: ReadonlySet<string>, pick: (ids: string[], on: boolean) => void, all: string[]): Column<Run>[] => [
  {
    key: 'pick',
    wide: true,
    title: <input type="checkbox" aria-label="Choose all" checked={all.length > 0 && all.every((id) => picked.has(id))} onChange={(e) => pick(all, e.target.checked)} />,
    width: 36,
    cell: (r) => <input type="checkbox" aria-label={`Choose ${r.title || r.workflow} ${r.id}`} checked={picked.has(r.id)} onChange={(e) => pick([r.id], e.target.checked)} />,
  },
  { key: 'state', title: 'State', width: 124, cell: (r) => <StateChip state={r.state} />, sort: (r) => states.indexOf(r.state as never) },
  {
    key: 'name',
    title: 'Workflow',
    cell: (r) => (
      <span className="clip">
        <Link to={`/runs/${r.id}`} className="strong">
          {r.title || r.workflow}
        </Link>{' '}
        {r.title && r.title !== r.workflow && <span className="dim">{r.workflow}</span>} {r.version ? <span className="dim">v{r.version}</span> : <Tag>inline</Tag>}{' '}
        {(r.flags ?? []).map((f) => (
          <Tag key={f}>{f}</Tag>
        ))}{' '}
        {r.reason && !ended(r.state) && <span className="dim">{r.reason.text}</span>}
        {r.failure && <span className="err">{r.failure.message}</span>}
      </span>
    ),
    sort: (r) => r.title || r.workflow,
  },
  { key: 'of', title: 'Called by', width: 140, wide: true, cell: (r) => (r.parent ? <Id id={r.parent.run} to={`/runs/${r.parent.run}`} /> : r.request ? <Id id={r.request} to={`/requests/${r.request}`} /> : <span className="dim">by hand</span>) },
  { key: 'by', title: 'By', width: 90, wide: true, cell: (r) => person(r.requester), sort: (r) => r.requester },
  { key: 'started', title: 'Started', width: 110, wide: true, cell: (r) => <Time at={r.created} />, sort: (r) => Date.parse(r.created) },
  { key: 'took', title: 'Took', width: 80, num: true, cell: (r) => <Took from={r.created} to={r.ended} /> },
  { key: 'id', title: 'Run', width: 140, wide: true, cell: (r) => <Id id={r.id} /> },
]

/** Runs lists executions of workflows, as a table or as the grid of one workflow's history. */
export default function Runs() {
  const [workflow] = useQueryParam('workflow')
  const [view, setView] = useQueryParam('view')
  const [state] = useQueryParam('state')
  const grid = view === 'grid' && workflow !== ''
  const cli = ['tutti run list', workflow && `--workflow ${workflow}`, state && `--state ${state}`].filter(Boolean).join(' ')
  return (
    <Page
      title={workflow ? `Runs of ${workflow}` : 'Runs'}
      crumbs={workflow ? [['Runs', '/runs'], [workflow, '']] : undefined}
      cli={cli}
      actions={
        <Button off={workflow ? '' : 'choose a workflow first'} aria-pressed={grid} onClick={() => setView(grid ? '' : 'grid', { push: true })}>
          History grid
        </Button>
      }
    >
      {grid ? (
        <Suspense fallback={<Skeleton rows={12} />}>
          <History workflow={workflow} />
        </Suspense>
      ) : (
        <List />
      )}
    </Page>
  )
}

function List() {
  const ns = useNamespace()
  const [state, setState] = useQueryParam('state')
  const [workflow] = useQueryParam('workflow')
  const [trace] = useQueryParam('trace')
  const [parent] = useQueryParam('parent')
  const query = { limit: 100, ...(state && { state: state as State }), ...(workflow && { workflow }), ...(trace && { trace }), ...(parent && { parent }) }
  const list = useInfiniteQuery({
    queryKey: [path, ns, 'list', query],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { ...query, ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
  })
  const rows = useMemo(() => list.data?.pages.flatMap((p) => (p.items ?? []) as Run[]) ?? [], [list.data])
  // Of the last 30 days; of one trace, or of what one run calls, there is nothing to count.
  const counted = !trace && !parent
  const stats = useGet('/v1/namespaces/{namespace}/stats', { query: { hours: 720, ...(workflow && { workflow }) } }, { enabled: counted, retry: false, refetchInterval: 10_000 })
  const counts = counted && stats.data ? sum(stats.data.items ?? []) : undefined
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const columns = useMemo(() => {
    const pick = (ids: string[], on: boolean) =>
      setPicked((old) => {
        const next = new Set(old)
        for (const id of ids) if (on) next.add(id)
          else next.delete(id)
        return next
      })
    return columnsOf(picked, pick, rows.map((r) => r.id))
  }, [picked, rows])
  const chosen = rows.filter((r) => picked.has(r.id))
  const filters: [string, string][] = [
    ['workflow', workflow],
    ['trace', trace],
    ['parent', parent],
  ]
  const on = filters.filter(([, v]) => v)
  return (
    <>
      <div className="filters" role="group" aria-label="Filter">
        {(['running', 'waiting', 'failed', 'succeeded', 'cancelled'] as const).map((s) => (
          <FilterChip key={s} state={s} on={state === s} onChange={(x) => setState(x ? s : '')}>
            <span className="cap">{s}</span>
            {counts && (
              <span className="nums dim" title="of the last 30 days">
                {(counts[s] ?? 0).toLocaleString('en')}
              </span>
            )}
          </FilterChip>
        ))}
        {on.map(([k, v]) => (
          <FilterChip key={k} on onChange={() => setQuery({ [k]: '' })}>
            {k} {v.slice(0, 20)} ✕
          </FilterChip>
        ))}
      </div>
      {chosen.length > 0 && <Bulk chosen={chosen} onDone={() => setPicked(new Set())} />}
      <Panel flush>
        <Loaded query={list} what="The runs cannot be read" rows={10}>
          {() => (
            <Table
              label="Runs"
              twoLines
              columns={columns}
              rows={rows}
              rowKey={(r) => r.id}
              href={(r) => `/runs/${r.id}`}
              onEnd={() => {
                if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
              }}
              empty={
                state || on.length > 0 ? (
                  <Empty title="No run matches" action={<button type="button" className="button" onClick={() => setQuery({ state: '', workflow: '', trace: '', parent: '' })}>Remove the filters</button>}>
                    There is none with {[state && `the state ${state}`, ...on.map(([k, v]) => `${k} ${v}`)].filter(Boolean).join(' and ')}.
                  </Empty>
                ) : (
                  <Empty title="Nothing has run yet" cli="tutti run start hello">
                    A run is one execution of a workflow: of a request, of another run, or started by hand.
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Panel>
    </>
  )
}
