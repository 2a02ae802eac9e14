import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Empty, Facts, Id, Json, LinkButton, Loaded, Page, Panel, StateChip, Table, Tabs, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useQueryParam } from '@/lib/router'
import { Commits } from './Commits'

type Change = Schemas['ResourceChange']

const changes: Column<Change>[] = [
  { key: 'state', title: 'State', width: 124, cell: (c) => <StateChip state={c.state} /> },
  { key: 'request', title: 'Request', cell: (c) => <Id id={c.request} to={`/requests/${c.request}`} /> },
  { key: 'run', title: 'Run', wide: true, cell: (c) => <Id id={c.run} to={`/runs/${c.run}`} /> },
  { key: 'by', title: 'By', width: 110, wide: true, cell: (c) => person(c.by) },
  { key: 'at', title: 'When', width: 110, cell: (c) => <Time at={c.at} /> },
]

/** Resource is one thing that requests made: what it is, what became of it, and its history. */
export default function Resource({ kind = '', n = '' }: Record<string, string>) {
  const [tab, setTab] = useQueryParam('tab', 'spec')
  const resource = useGet('/v1/namespaces/{namespace}/resources/{type}/{name}', { path: { type: kind, name: n } })
  return (
    <Page
      title={n}
      crumbs={[
        ['Resources', '/resources'],
        [kind, `/resources?type=${encodeURIComponent(kind)}`],
        [n, ''],
      ]}
      cli={`tutti resource show ${kind} ${n}`}
      actions={resource.data && <LinkButton to={`/catalogue/${encodeURIComponent(kind)}/new?from=${resource.data.request}`} perm="request.create">Request a change</LinkButton>}
    >
      <Loaded query={resource} what={`The resource ${n} cannot be read`} rows={8}>
        {(r) => {
          const history = (r.history ?? []) as Change[]
          return (
            <>
              <Facts
                items={[
                  ['Type', r.type],
                  ['Owner', person(r.owner)],
                  ['Changed', <Time key="u" at={r.updated} />],
                  ['By request', <Id key="q" id={r.request} to={`/requests/${r.request}`} />],
                  ['Run', <Id key="r" id={r.run} to={`/runs/${r.run}`} />],
                  ['Trace', <Id key="t" id={r.trace} />],
                ]}
              />
              <Tabs
                label="Resource"
                keys
                value={tab}
                onChange={(t) => setTab(t, { push: true })}
                tabs={[
                  { id: 'spec', label: 'Specification' },
                  { id: 'outputs', label: 'State in the world' },
                  { id: 'requests', label: `Requests ${history.length}` },
                  { id: 'git', label: 'Git history' },
                ]}
              >
                {tab === 'spec' && <Json value={r.spec} label="Specification" />}
                {tab === 'outputs' &&
                  (r.outputs ? (
                    <>
                      <p className="dim">What the run that built it read back, in its outputs.</p>
                      <Json value={r.outputs} label="Outputs" />
                    </>
                  ) : (
                    <Empty title="No run has given anything back yet">The outputs of the run that builds it stand here.</Empty>
                  ))}
                {tab === 'requests' && (
                  <Panel flush>
                    <Table label="Requests that changed it" columns={changes} rows={history} rowKey={(c) => c.request} href={(c) => `/requests/${c.request}`} empty={<Empty title="No request changed it" />} />
                  </Panel>
                )}
                {tab === 'git' && <Commits resource={r} />}
              </Tabs>
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

