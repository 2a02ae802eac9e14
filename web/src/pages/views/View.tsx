import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Empty, Facts, Loaded, Page, Panel, Table, Tabs, Time, type Column } from '@/kit'
import { useCan } from '@/lib/me'
import { useQueryParam } from '@/lib/router'
import { gridsOf, wordOf, type Cell, type Grid } from './matrix'
import './views.css'

type ViewT = Schemas['View']
const one = '/v1/namespaces/{namespace}/views/{name}'
const matrixPath = '/v1/namespaces/{namespace}/views/{name}/matrix'

/** View is one end system: what it has, and which pairs of cluster and storage may be ordered. */
export default function View({ v = '' }: Record<string, string>) {
  const [tab, setTab] = useQueryParam('tab', 'matrix')
  const view = useGet(one, { path: { name: v } })
  const refresh = useAction('/v1/namespaces/{namespace}/views/{name}/refresh', { done: (x) => (x.failure ? 'It could not be read' : 'Read just now'), refresh: [one, matrixPath] })
  return (
    <Page
      title={v}
      crumbs={[
        ['End systems', '/views'],
        [v, ''],
      ]}
      cli={`tutti view matrix ${v}`}
      actions={
        <Button perm="view.refresh" busy={refresh.isPending} onClick={() => refresh.mutate({ path: { name: v } })}>
          Read now
        </Button>
      }
    >
      <Loaded query={view} what={`The view ${v} cannot be read`} rows={8}>
        {(x) => (
          <>
            <Facts
              items={[
                ['System', x.system],
                ['Read', x.at ? <Time key="a" at={x.at} /> : 'never'],
                ['Read again after', x.refresh],
                ['Networks', String(x.networks)],
              ]}
            />
            {x.failure && (
              <p role="status" className="viewfail">
                The last reading failed, so this is what was known before: {x.failure}
              </p>
            )}
            <Tabs
              label="View"
              keys
              value={tab}
              onChange={(t) => setTab(t, { push: true })}
              tabs={[
                { id: 'matrix', label: 'Matrix' },
                { id: 'networks', label: `Networks ${x.networks}` },
                { id: 'storage', label: `Storage ${x.storage}` },
                { id: 'clusters', label: `Clusters ${x.clusters}` },
              ]}
            >
              {tab === 'matrix' ? <Matrix name={v} /> : <Content view={x} kind={tab} />}
            </Tabs>
          </>
        )}
      </Loaded>
    </Page>
  )
}

/** Matrix is where an administrator permits and denies. */
function Matrix({ name }: { name: string }) {
  const q = useGet(matrixPath, { path: { name } })
  return (
    <Loaded query={q} what="The matrix cannot be read">
      {(m) => {
        const grids = gridsOf((m.cells ?? []) as Cell[])
        if (grids.length === 0) return <Empty title="There is no pair of cluster and storage" cli={`tutti view refresh ${name}`}>It appears once the system has been read, and has both.</Empty>
        return (
          <>
            <p className="dim">What nobody decided about is {m.default === 'permit' ? 'permitted' : 'denied'}. Only what is permitted and within reach can be ordered.</p>
            {grids.map((g) => (
              <GridPanel key={g.datacenter} name={name} grid={g} />
            ))}
          </>
        )
      }}
    </Loaded>
  )
}

function GridPanel({ name, grid }: { name: string; grid: Grid }) {
  const allowed = useCan('view.permit')
  const may = allowed.ok
  const permit = useAction(matrixPath, { method: 'put', refresh: [matrixPath, one] })
  const set = (cells: Cell[], permitted: boolean) =>
    permit.mutate({ path: { name }, body: { cells: cells.map((c) => ({ datacenter: c.datacenter ?? '', cluster: c.cluster, storage: c.storage, permitted })) } })
  return (
    <Panel title={grid.datacenter || 'Clusters and storage'} flush>
      <div className="matrixbox" role="region" aria-label={`Matrix of ${grid.datacenter || name}`} tabIndex={0}>
        <table className="matrix">
          <thead>
            <tr>
              <th scope="col">Cluster</th>
              {grid.storage.map((s) => (
                <th key={s} scope="col">
                  {s}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {grid.clusters.map((c) => (
              <tr key={c}>
                <th scope="row">{c}</th>
                {grid.storage.map((s) => {
                  const cell = grid.cell(c, s)
                  if (!cell) return <td key={s} />
                  return (
                    <td key={s}>
                      <button
                        type="button"
                        aria-pressed={cell.permitted}
                        aria-label={`${c} with ${s}: ${wordOf(cell)}`}
                        aria-disabled={!may || permit.isPending}
                        title={may ? (cell.by ? `${wordOf(cell)}, decided by ${cell.by}` : `${wordOf(cell)}, by default`) : 'needs role admin'}
                        className={cell.permitted ? (cell.reachable ? 'yes' : 'far') : 'no'}
                        onClick={() => may && !permit.isPending && set([cell], !cell.permitted)}
                      >
                        {cell.permitted ? (cell.reachable ? '✓ permitted' : '✓ out of reach') : '– denied'}
                      </button>
                    </td>
                  )
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  )
}

interface Thing {
  name: string
  where: string
  about: string
}

function things(v: ViewT, kind: string): Thing[] {
  const c = v.content
  if (!c) return []
  if (kind === 'networks') return (c.networks ?? []).map((n) => ({ name: n.name, where: n.tenant ? `${n.tenant} / ${n.application ?? ''}` : (n.datacenter ?? ''), about: (n.clusters ?? []).join(', ') }))
  if (kind === 'storage') return (c.storage ?? []).map((s) => ({ name: s.name, where: s.datacenter ?? '', about: `${s.freeGB} of ${s.capacityGB} GB free, for ${(s.clusters ?? []).join(', ')}` }))
  return (c.clusters ?? []).map((s) => ({ name: s.name, where: s.datacenter ?? '', about: `${s.hosts} hosts, ${s.cores} cores, ${Math.round(s.memoryMB / 1024)} GB` }))
}

const columns: Column<Thing>[] = [
  { key: 'name', title: 'Name', cell: (t) => t.name, sort: (t) => t.name },
  { key: 'where', title: 'Where', width: 180, cell: (t) => t.where, sort: (t) => t.where },
  { key: 'about', title: 'About', wide: true, cell: (t) => <span className="clip">{t.about}</span> },
]

function Content({ view, kind }: { view: ViewT; kind: string }) {
  return (
    <Panel flush>
      <Table label={kind} columns={columns} rows={things(view, kind)} rowKey={(t) => `${t.where}/${t.name}`} empty={<Empty title="Nothing was seen" />} />
    </Panel>
  )
}
