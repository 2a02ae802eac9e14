import { useInfiniteQuery } from '@tanstack/react-query'
import type { Schemas } from '@/api/client'
import { fetchGet, useGet } from '@/api/hooks'
import { Empty, FilterChip, LinkButton, Loaded, Page, Panel, Table, Time, type Column } from '@/kit'
import { duration, milliseconds, person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { useMemo } from 'react'
import { kinds, pageOf } from './kinds'

type Definition = Schemas['Definition']
const path = '/v1/namespaces/{namespace}/definitions'

/** Workflows lists the definitions of a namespace: workflows, and the other kinds. */
export default function Workflows() {
  const ns = useNamespace()
  const [kind, setKind] = useQueryParam('kind', 'Workflow')
  const [find, setFind] = useQueryParam('find')
  const list = useInfiniteQuery({
    queryKey: [path, ns, 'list', kind],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { kind, limit: 500, ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
  })
  const used = useGet('/v1/namespaces/{namespace}/workflows/uses', {}, { enabled: kind === 'Workflow', staleTime: 30_000, retry: false })
  const uses = useMemo(() => new Map((used.data?.items ?? []).map((u) => [u.workflow, u])), [used.data])
  const all = list.data?.pages.flatMap((p) => (p.items ?? []) as Definition[]) ?? []
  const rows = find ? all.filter((d) => `${d.name} ${d.title ?? ''}`.toLowerCase().includes(find.toLowerCase())) : all
  const columns = useMemo(() => columnsOf(kind, uses), [kind, uses])
  return (
    <Page
      title="Workflows"
      cli="tutti workflow list"
      actions={
        <LinkButton to={`/workflows/_new?kind=${kind}`} kind="primary" perm="definition.apply">
          New {kinds[kind]?.toLowerCase() ?? 'definition'}
        </LinkButton>
      }
    >
      <div className="filters" role="group" aria-label="Filter">
        <input type="search" style={{ maxWidth: 280, height: 30 }} value={find} onChange={(e) => setFind(e.target.value)} placeholder="Find by name or title" aria-label="Find by name or title" />
        {Object.entries(kinds).map(([k, title]) => (
          <FilterChip key={k} on={kind === k} onChange={() => setKind(k)}>
            {title}s
          </FilterChip>
        ))}
      </div>
      <Panel flush>
        <Loaded query={list} what="The definitions cannot be read" rows={10}>
          {() => (
            <Table
              label={`${kinds[kind] ?? kind}s`}
              columns={columns}
              rows={rows}
              rowKey={(d) => d.name}
              href={pageOf}
              onEnd={() => {
                if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
              }}
              empty={
                find ? (
                  <Empty title="Nothing matches" action={<button type="button" className="button" onClick={() => setQuery({ find: '' })}>Remove the filter</button>}>
                    No {kinds[kind]?.toLowerCase()} has “{find}” in its name or title.
                  </Empty>
                ) : (
                  <Empty title={`There is no ${kinds[kind]?.toLowerCase() ?? 'definition'} yet`} cli="tutti apply -f examples/vm">
                    Definitions are YAML files. Write one here, or apply those of a folder.
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

function columnsOf(kind: string, uses: Map<string, Schemas['WorkflowUse']>): Column<Definition>[] {
  const out: Column<Definition>[] = [
    {
      key: 'name',
      title: 'Name',
      cell: (d) => (
        <span className="clip">
          <Link to={pageOf(d)} className="strong">
            {d.name}
          </Link>{' '}
          <span className="dim">{d.title}</span>
        </span>
      ),
      sort: (d) => d.name,
    },
    { key: 'version', title: 'Version', width: 76, num: true, cell: (d) => d.version, sort: (d) => d.version },
  ]
  if (kind === 'Workflow')
    out.push(
      {
        key: 'used',
        title: 'Runs, 30 d',
        width: 90,
        num: true,
        wide: true,
        cell: (d) => {
          const u = uses.get(d.name)
          return u ? <Link to={`/runs?workflow=${encodeURIComponent(d.name)}&view=grid`}>{u.runs}</Link> : <span className="dim">0</span>
        },
        sort: (d) => uses.get(d.name)?.runs ?? 0,
      },
      {
        key: 'good',
        title: 'Succeeded',
        width: 96,
        num: true,
        wide: true,
        cell: (d) => {
          const u = uses.get(d.name)
          return u && good(u) >= 0 ? <span className={u.failed ? 'err' : undefined}>{Math.floor(100 * good(u))} %</span> : null
        },
        sort: (d) => {
          const u = uses.get(d.name)
          return u ? good(u) : -1
        },
      },
      {
        key: 'usual',
        title: 'Usually',
        width: 84,
        num: true,
        wide: true,
        cell: (d) => {
          const e = uses.get(d.name)?.expected
          return e ? <span title={`Nine in ten took no longer than ${duration(milliseconds(e.p90))}, of the last ${e.runs}`}>{duration(milliseconds(e.p50))}</span> : null
        },
        sort: (d) => milliseconds(uses.get(d.name)?.expected?.p50),
      },
    )
  out.push(
    { key: 'by', title: 'Published by', width: 120, wide: true, cell: (d) => person(d.publisher), sort: (d) => d.publisher },
    { key: 'applied', title: 'Published', width: 110, cell: (d) => <Time at={d.applied} />, sort: (d) => Date.parse(d.applied) },
  )
  return out
}

/** good is which part of the runs that ended by themselves succeeded; -1 where none did. */
function good(u: Schemas['WorkflowUse']): number {
  const ended = u.succeeded + u.failed
  return ended > 0 ? u.succeeded / ended : -1
}
