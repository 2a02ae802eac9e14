import { useInfiniteQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { fetchGet } from '@/api/hooks'
import type { Schemas } from '@/api/client'
import { Button, Empty, Facts, Id, Json, Loaded, Page, Panel, Table, Tag, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { setQuery, useQueryParam } from '@/lib/router'
import { change, lines, matching } from './act'
import '../events/events.css'

type Act = Schemas['Act']
const path = '/v1/namespaces/{namespace}/audit'

const columns: Column<Act & { key: string }>[] = [
  { key: 'at', title: 'When', width: 80, cell: (a) => <Time at={a.at} /> },
  { key: 'subject', title: 'Who', width: 90, cell: (a) => <span className="clip" title={a.subject}>{person(a.subject)}</span> },
  { key: 'action', title: 'Action', width: 160, cell: (a) => <Tag>{a.action}</Tag> },
  { key: 'object', title: 'Object', cell: (a) => <code className="clip" title={a.object}>{a.object}</code> },
  { key: 'from', title: 'From', width: 130, wide: true, cell: (a) => <span className="dim">{a.from}</span> },
  { key: 'service', title: 'Service', width: 100, wide: true, cell: (a) => a.service },
]

/** Audit lists who did what, newest first. */
export default function Audit() {
  const ns = useNamespace()
  const [find, setFind] = useQueryParam('find')
  const [at, setAt] = useQueryParam('at')
  const list = useInfiniteQuery({
    queryKey: [path, ns, 'list'],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { limit: 200, ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
  })
  const all = useMemo(() => (list.data?.pages.flatMap((p) => (p.items ?? []) as Act[]) ?? []).map((a, i, every) => ({ ...a, key: `${a.at}/${every.length - i}/${a.object}` })), [list.data])
  const shown = useMemo(() => all.filter((a) => matching(a, find)), [all, find])
  const open = all.find((a) => a.key === at)
  const more = () => {
    if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
  }
  return (
    <Page title="Audit" cli="tutti audit list" actions={<Button off={shown.length === 0 ? 'there is nothing to export' : ''} title="As JSON lines, what is loaded and matches" onClick={() => save(lines(shown))}>Export {shown.length} rows</Button>}>
      <div className="filters">
        <input className="findbox" type="search" value={find} onChange={(e) => setFind(e.target.value)} placeholder="Find, such as secret.set or anna" aria-label="Find in the audit trail" />
        {find && list.hasNextPage && (
          <span className="dim">
            looked through the newest {all.length}{' '}
            <Button busy={list.isFetchingNextPage} onClick={more}>
              Look further
            </Button>
          </span>
        )}
      </div>
      <div className={open ? 'two' : undefined}>
        <Panel flush>
          <Loaded query={list} what="The audit trail cannot be read" rows={12}>
            {() => (
              <Table
                label="Audit trail"
                columns={columns}
                rows={shown}
                rowKey={(a) => a.key}
                selected={at}
                onSelect={(a) => setAt(a.key === at ? '' : a.key)}
                onEnd={find ? undefined : more}
                empty={
                  find ? (
                    <Empty title="Nothing matches" action={<button type="button" className="button" onClick={() => setQuery({ find: '' })}>Remove the filter</button>}>
                      Nothing among the newest {all.length} acts has “{find}” in it.
                    </Empty>
                  ) : (
                    <Empty title="Nothing was done yet" cli="tutti audit list" />
                  )
                }
              />
            )}
          </Loaded>
        </Panel>
        {open && <Details act={open} onClose={() => setAt('')} />}
      </div>
    </Page>
  )
}

function Details({ act: a, onClose }: { act: Act; onClose: () => void }) {
  const c = change(a.detail)
  return (
    <Panel title={`${a.action} ${a.object}`} actions={<Button kind="quiet" onClick={onClose}>Close</Button>} className="side">
      <Facts
        items={[
          ['When', a.at],
          ['Who', a.subject],
          ['From', a.from],
          ['Trace', a.trace && <Id key="t" id={a.trace} />],
          ['Service', a.service],
        ]}
      />
      {c && (
        <table className="values">
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">Before</th>
              <th scope="col">After</th>
            </tr>
          </thead>
          <tbody>
            {c.map(([k, before, after]) => (
              <tr key={k}>
                <th scope="row">{k}</th>
                <td>{before}</td>
                <td>{after}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {a.detail !== undefined && a.detail !== null && <Json value={a.detail} label="Detail" />}
    </Panel>
  )
}

function save(text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/jsonl' }))
  const a = document.createElement('a')
  a.href = url
  a.download = 'audit.jsonl'
  a.click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}
