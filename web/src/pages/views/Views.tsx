import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Empty, Loaded, Page, Panel, Table, Time, type Column } from '@/kit'
import { Link } from '@/lib/router'

type View = Schemas['View']

const columns: Column<View>[] = [
  { key: 'name', title: 'View', cell: (v) => <Link to={`/views/${v.name}`} className="strong">{v.name}</Link>, sort: (v) => v.name },
  { key: 'system', title: 'System', width: 90, cell: (v) => v.system, sort: (v) => v.system },
  { key: 'at', title: 'Read', width: 120, cell: (v) => (v.at ? <Time at={v.at} /> : <span className="dim">never</span>) },
  { key: 'clusters', title: 'Clusters', width: 90, num: true, wide: true, cell: (v) => v.clusters, sort: (v) => v.clusters },
  { key: 'storage', title: 'Storage', width: 90, num: true, wide: true, cell: (v) => v.storage, sort: (v) => v.storage },
  { key: 'networks', title: 'Networks', width: 90, num: true, wide: true, cell: (v) => v.networks, sort: (v) => v.networks },
  { key: 'failure', title: 'Failure', wide: true, cell: (v) => <span className="clip">{v.failure}</span> },
]

/** Views lists the end systems that are looked at. */
export default function Views() {
  const list = useGet('/v1/namespaces/{namespace}/views')
  return (
    <Page title="End systems" cli="tutti view list">
      <Panel flush>
        <Loaded query={list} what="The views cannot be read">
          {({ items }) => (
            <Table
              label="Views"
              columns={columns}
              rows={(items ?? []) as View[]}
              rowKey={(v) => v.name}
              href={(v) => `/views/${v.name}`}
              empty={<Empty title="No end system is looked at" cli="tutti apply -f view.yaml">A document of kind View says which vCenter or ACI fabric, and who may read it.</Empty>}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}
