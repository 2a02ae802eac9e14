import { useInfiniteQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { fetchGet, useGet } from '@/api/hooks'
import { ended, states, type State, type TaskRequest } from '@/api/types'
import { Empty, FilterChip, Id, LinkButton, Loaded, Page, Panel, StateChip, Table, Time, Took, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useMe, useNamespace } from '@/lib/me'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { pages } from '@/pages'
import { Bulk } from './Bulk'

const path = '/v1/namespaces/{namespace}/requests'

/** Row is the newest request of a trace, with how many came before it. */
interface Row {
  request: TaskRequest
  earlier: number
}

/** fold puts the re-submissions of one trace under the newest of them. */
export function fold(all: TaskRequest[]): Row[] {
  const rows = new Map<string, Row>()
  for (const request of all) {
    const row = rows.get(request.trace)
    if (row) row.earlier++
    else rows.set(request.trace, { request, earlier: 0 })
  }
  return [...rows.values()]
}

const columnsOf = (picked: ReadonlySet<string>, pick: (ids: string[], on: boolean) => void, all: string[]): Column<Row>[] => [
  {
    key: 'pick',
    wide: true,
    title: <input type="checkbox" aria-label="Choose all" checked={all.length > 0 && all.every((id) => picked.has(id))} onChange={(e) => pick(all, e.target.checked)} />,
    width: 36,
    cell: (r) => <input type="checkbox" aria-label={`Choose ${r.request.title || r.request.name}`} checked={picked.has(r.request.id)} onChange={(e) => pick([r.request.id], e.target.checked)} />,
  },
  { key: 'state', title: 'State', width: 128, cell: (r) => <StateChip state={r.request.state} />, sort: (r) => states.indexOf(r.request.state as never) },
  {
    key: 'name',
    title: 'Name',
    cell: (r) => (
      <span className="clip">
        <Link to={`/requests/${r.request.id}`} className="strong">
          {r.request.title || r.request.name}
        </Link>{' '}
        {r.earlier > 0 && <span className="dim">and {r.earlier} earlier</span>}{' '}
        {r.request.reason && !ended(r.request.state) && <span className="dim">{r.request.reason.text}</span>}
        {r.request.failure && <span className="err">{r.request.failure.message}</span>}
      </span>
    ),
    sort: (r) => r.request.title || r.request.name,
  },
  { key: 'entry', title: 'Entry', width: 150, wide: true, cell: (r) => r.request.entry, sort: (r) => r.request.entry },
  { key: 'by', title: 'By', width: 90, wide: true, cell: (r) => person(r.request.requester), sort: (r) => r.request.requester },
  { key: 'started', title: 'Asked', width: 110, wide: true, cell: (r) => <Time at={r.request.created} />, sort: (r) => Date.parse(r.request.created) },
  { key: 'took', title: 'Took', width: 80, num: true, cell: (r) => <Took from={r.request.created} to={r.request.ended} /> },
  { key: 'id', title: 'Request', width: 140, wide: true, cell: (r) => <Id id={r.request.id} /> },
]

/** Requests lists what was asked for. */
export default function Requests() {
  const ns = useNamespace()
  const me = useMe()
  const [state, setState] = useQueryParam('state')
  const [by, setBy] = useQueryParam('by')
  const [type, setType] = useQueryParam('type')
  const query = { limit: 100, ...(state && { state: state as State }), ...(by && { requester: by === 'me' ? me.subject : by }), ...(type && { type }) }
  const list = useInfiniteQuery({
    queryKey: [path, ns, 'list', query],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { ...query, ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
  })
  const rows = useMemo(() => fold(list.data?.pages.flatMap((p) => p.items ?? []) ?? []), [list.data])
  const counts = useGet('/v1/namespaces/{namespace}/requests/stats', { query: { ...(by && { requester: by === 'me' ? me.subject : by }), ...(type && { type }) } }, { retry: false })
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const columns = useMemo(() => {
    const pick = (ids: string[], on: boolean) =>
      setPicked((old) => {
        const next = new Set(old)
        for (const id of ids) if (on) next.add(id)
          else next.delete(id)
        return next
      })
    return columnsOf(picked, pick, rows.map((r) => r.request.id))
  }, [picked, rows])
  const chosen = rows.filter((r) => picked.has(r.request.id)).map((r) => r.request)
  const filtered = state || by || type
  const cli = ['tutti request list', state && `--state ${state}`].filter(Boolean).join(' ')
  return (
    <Page title="Requests" cli={cli} actions={pages.some((p) => p.path === '/catalogue') && <LinkButton to="/catalogue" kind="primary" perm="request.create">New request</LinkButton>}>
      <div className="filters" role="group" aria-label="Filter">
        {(['running', 'waiting', 'failed', 'succeeded', 'cancelled'] as const).map((s) => (
          <FilterChip key={s} state={s} on={state === s} onChange={(on) => setState(on ? s : '')}>
            <span className="cap">{s}</span>
            <span className="nums dim">{counts.data && (counts.data.states?.[s] ?? 0)}</span>
          </FilterChip>
        ))}
        <FilterChip on={by === 'me'} onChange={(on) => setBy(on ? 'me' : '')}>
          Mine
        </FilterChip>
        {type && (
          <FilterChip on onChange={() => setType('')}>
            {type} ✕
          </FilterChip>
        )}
      </div>
      {chosen.length > 0 && <Bulk chosen={chosen} onDone={() => setPicked(new Set())} />}
      <Panel flush>
        <Loaded query={list} what="The requests cannot be read" rows={10}>
          {() => (
            <Table
              label="Requests"
              twoLines
              columns={columns}
              rows={rows}
              rowKey={(r) => r.request.id}
              href={(r) => `/requests/${r.request.id}`}
              onEnd={() => {
                if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
              }}
              empty={
                filtered ? (
                  <Empty title="No request matches" action={<button type="button" className="button" onClick={() => setQuery({ state: '', by: '', type: '' })}>Remove the filters</button>}>
                    Nothing is {[state, by === 'me' && 'asked for by you', type && `of the type ${type}`].filter(Boolean).join(' and ')}.
                  </Empty>
                ) : (
                  <Empty title="Nothing was asked for yet" cli="tutti catalogue">
                    A request asks for a resource of the catalogue, such as a virtual machine. It is followed here until it is there.
                  </Empty>
                )
              }
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
