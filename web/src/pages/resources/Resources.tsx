import { useInfiniteQuery } from '@tanstack/react-query'
import type { Schemas } from '@/api/client'
import { fetchGet } from '@/api/hooks'
import { Empty, FilterChip, Id, LinkButton, Loaded, Page, Panel, Table, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { Link, setQuery, useQueryParam } from '@/lib/router'

type Resource = Schemas['Resource']
const path = '/v1/namespaces/{namespace}/resources'

/** addressOf is the page of a resource. */
export function addressOf(r: { type: string; name: string }): string {
  return `/resources/${encodeURIComponent(r.type)}/${encodeURIComponent(r.name)}`
}

const columns: Column<Resource>[] = [
  {
    key: 'name',
    title: 'Name',
    cell: (r) => (
      <Link to={addressOf(r)} className="strong">
        {r.name}
      </Link>
    ),
    sort: (r) => r.name,
  },
  { key: 'type', title: 'Type', width: 160, cell: (r) => r.type, sort: (r) => r.type },
  { key: 'owner', title: 'Owner', width: 110, wide: true, cell: (r) => person(r.owner), sort: (r) => r.owner },
  { key: 'updated', title: 'Changed', width: 110, cell: (r) => <Time at={r.updated} />, sort: (r) => Date.parse(r.updated) },
  { key: 'request', title: 'By request', width: 150, wide: true, cell: (r) => <Id id={r.request} to={`/requests/${r.request}`} /> },
]

/** Resources lists what requests have made. */
export default function Resources() {
  const ns = useNamespace()
  const [type, setType] = useQueryParam('type')
  const [find, setFind] = useQueryParam('find')
  const list = useInfiniteQuery({
    queryKey: [path, ns, 'list', type],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { limit: 500, ...(type && { type }), ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
  })
  const all = list.data?.pages.flatMap((p) => (p.items ?? []) as Resource[]) ?? []
  const types = [...new Set([...all.map((r) => r.type), ...(type ? [type] : [])])].sort()
  const rows = find ? all.filter((r) => `${r.name} ${r.type} ${r.owner}`.toLowerCase().includes(find.toLowerCase())) : all
  return (
    <Page title="Resources" cli={['tutti resource list', type && `--type ${type}`].filter(Boolean).join(' ')} actions={<LinkButton to="/catalogue" perm="request.create">New request</LinkButton>}>
      <div className="filters" role="group" aria-label="Filter">
        <input type="search" style={{ maxWidth: 280, height: 30 }} value={find} onChange={(e) => setFind(e.target.value)} placeholder="Find by name or owner" aria-label="Find by name or owner" />
        {types.map((t) => (
          <FilterChip key={t} on={type === t} onChange={(on) => setType(on ? t : '')}>
            {t}
          </FilterChip>
        ))}
      </div>
      <Panel flush>
        <Loaded query={list} what="The resources cannot be read" rows={10}>
          {() => (
            <Table
              label="Resources"
              twoLines
              columns={columns}
              rows={rows}
              rowKey={(r) => `${r.type}/${r.name}`}
              href={addressOf}
              onEnd={() => {
                if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
              }}
              empty={
                find || type ? (
                  <Empty title="No resource matches" action={<button type="button" className="button" onClick={() => setQuery({ find: '', type: '' })}>Remove the filters</button>}>
                    There is none with {[type && `the type ${type}`, find && `“${find}” in its name or owner`].filter(Boolean).join(' and ')}.
                  </Empty>
                ) : (
                  <Empty title="Nothing was made yet" action={<LinkButton to="/catalogue" kind="primary" perm="request.create">Open the catalogue</LinkButton>} cli="tutti request create small-dev-vm -p name=web-dev-01">
                    What a request makes, such as a virtual machine, stands here with its history.
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
