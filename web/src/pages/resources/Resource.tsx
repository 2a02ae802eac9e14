import { useState, type ReactNode } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Confirm, Empty, Facts, Id, LinkButton, Loaded, Page, Panel, StateChip, Table, Tabs, Time, ValuesAndJson, type Column } from '@/kit'
import { person } from '@/lib/format'
import { navigate, useQueryParam } from '@/lib/router'
import { Commits } from './Commits'
import { World } from './World'

type Change = Schemas['ResourceChange']

const changes: Column<Change>[] = [
  { key: 'state', title: 'State', width: 124, cell: (c) => <StateChip state={c.state} /> },
  { key: 'request', title: 'Request', cell: (c) => <Id id={c.request} to={`/requests/${c.request}`} /> },
  { key: 'action', title: 'What', width: 110, cell: (c) => (c.undone ? `${c.action ?? 'create'}, undone` : (c.action ?? 'create')) },
  { key: 'commit', title: 'Commit', width: 110, wide: true, cell: (c) => c.source && <code>{c.source.commit.slice(0, 8)}</code> },
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
      actions={resource.data && <Actions resource={resource.data} />}
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
                  ...(r.source ? ([['File', <code key="f">{`${r.source.repository}:${r.source.path} at ${r.source.commit.slice(0, 8)}`}</code>]] as [string, ReactNode][]) : []),
                  ...(r.expires ? ([['Expires', <Time key="e" at={r.expires} />]] as [string, ReactNode][]) : []),
                  ...(r.pending ? ([['Being changed by', <Id key="p" id={r.pending} to={`/requests/${r.pending}`} />]] as [string, ReactNode][]) : []),
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
                {tab === 'spec' && (
                  <Panel>
                    <ValuesAndJson value={r.spec} label="Specification" />
                  </Panel>
                )}
                {tab === 'outputs' && <World resource={r} />}
                {tab === 'requests' && (
                  <Panel flush>
                    <Table label="Requests that changed it" columns={[...changes, back(r)]} rows={history} rowKey={(c) => c.request} href={(c) => `/requests/${c.request}`} empty={<Empty title="No request changed it" />} />
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


const requests = '/v1/namespaces/{namespace}/requests'

/** Actions are what can be asked for: what the type offers, or an order like the one it came from. */
function Actions({ resource: r }: { resource: Schemas['Resource'] }) {
  const [sure, setSure] = useState(false)
  const ask = useAction(requests, { done: 'Asked for its deletion', onDone: (q) => navigate(`/requests/${q.id}`) })
  const can = r.actions ?? []
  return (
    <>
      {can.length === 0 && <LinkButton to={`/catalogue/${encodeURIComponent(r.type)}/new?from=${r.request}`} perm="request.create">Request a change</LinkButton>}
      {can.includes('delete') && (
        <Button kind="danger" perm="request.create" off={r.pending ? `request ${r.pending} is changing it` : ''} onClick={() => setSure(true)}>
          Delete…
        </Button>
      )}
      {sure && (
        <Confirm
          title={`Delete ${r.type} ${r.name}`}
          verb="Ask for its deletion"
          danger
          type={r.name}
          busy={ask.isPending}
          onClose={() => setSure(false)}
          onConfirm={() => ask.mutate({ body: { action: 'delete', type: r.type, name: r.name, base: r.request } })}
        >
          <p>A request removes it with the workflow of its type. Its history stays, and it can be made again from there.</p>
        </Confirm>
      )}
    </>
  )
}

/** back is the column with what rolls the resource back to a change. */
function back(r: Schemas['Resource']): Column<Change> {
  const offered = (r.actions ?? []).includes('modify')
  return {
    key: 'back',
    title: <span className="vh">Roll back</span>,
    width: 110,
    cell: (c) => (offered && c.state === 'succeeded' && c.action !== 'delete' && c.request !== r.request ? <Back resource={r} to={c} /> : null),
  }
}

function Back({ resource: r, to }: { resource: Schemas['Resource']; to: Change }) {
  const [sure, setSure] = useState(false)
  const ask = useAction(requests, { done: 'Asked to roll back', onDone: (q) => navigate(`/requests/${q.id}`) })
  return (
    <>
      <Button
        perm="request.create"
        onClick={(e) => {
          e.stopPropagation()
          setSure(true)
        }}
      >
        Roll back…
      </Button>
      {sure && (
        <Confirm
          title={`Have ${r.name} as request ${to.request} left it`}
          verb="Ask to roll back"
          danger
          busy={ask.isPending}
          onClose={() => setSure(false)}
          onConfirm={() => ask.mutate({ body: { action: 'rollback', type: r.type, name: r.name, to: to.request, base: r.request } })}
        >
          <p>A new request asks for what that one had, checked by the rules of today.</p>
        </Confirm>
      )}
    </>
  )
}
