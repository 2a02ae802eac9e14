import { useInfiniteQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import { fetchGet } from '@/api/hooks'
import type { ApiError, Schemas } from '@/api/client'
import { Button, Empty, Facts, Id, Json, Loaded, Page, Panel, Table, Tag, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { setQuery, useQueryParam } from '@/lib/router'
import { change } from './act'
import '../events/events.css'

type Act = Schemas['Act']
const path = '/v1/namespaces/{namespace}/audit'

const columns: Column<Act & { key: string }>[] = [
  { key: 'at', title: 'When', width: 100, cell: (a) => <Time at={a.at} /> },
  { key: 'subject', title: 'Who', width: 150, wide: true, cell: (a) => <span className="clip" title={a.subject}>{person(a.subject)}</span> },
  { key: 'action', title: 'Action', width: 150, cell: (a) => <Tag>{a.action}</Tag> },
  { key: 'object', title: 'Object', cell: (a) => <span className="clip" title={`${a.object}, by ${a.subject}`}><code>{a.object}</code> <span className="dim onlyphone">{person(a.subject)}</span></span> },
  { key: 'from', title: 'From', width: 130, wide: true, cell: (a) => <span className="dim">{a.from}</span> },
  { key: 'service', title: 'Service', width: 100, wide: true, cell: (a) => a.service },
]

/** Audit lists who did what, newest first. */
export default function Audit() {
  const ns = useNamespace()
  const [q] = useQueryParam('q')
  const [at, setAt] = useQueryParam('at')
  const [text, setText] = useState(q)
  useEffect(() => {
    if (text.trim() === q) return
    const timer = setTimeout(() => setQuery({ q: text.trim(), at: '' }), 300)
    return () => clearTimeout(timer)
  }, [text, q])
  const list = useInfiniteQuery<Schemas['AuditPage'], ApiError, { pages: Schemas['AuditPage'][] }, string[], string>({
    queryKey: [path, ns, 'list', q],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { limit: 200, ...(q && { q }), ...(pageParam && { cursor: pageParam }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
    retry: false,
    placeholderData: (old) => old,
  })
  const all = useMemo(() => (list.data?.pages.flatMap((p) => (p.items ?? []) as Act[]) ?? []).map((a, i, every) => ({ ...a, key: `${a.at}/${every.length - i}/${a.object}` })), [list.data])
  const open = all.find((a) => a.key === at)
  const last = list.data?.pages.at(-1)
  const more = () => {
    if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
  }
  const clear = () => {
    setText('')
    setQuery({ q: '', at: '' })
  }
  const file = (format: string) => `/v1/namespaces/${encodeURIComponent(ns)}/audit/export?${new URLSearchParams({ format, ...(q && { q }) })}`
  return (
    <Page
      title="Audit"
      cli={q ? `tutti audit list '${q}'` : 'tutti audit list'}
      actions={
        <>
          <a className="button" href={file('csv')} download title="All that matches, as a table">
            Export CSV
          </a>
          <a className="button" href={file('jsonl')} download title="All that matches, as JSON lines">
            Export JSON lines
          </a>
        </>
      }
    >
      <div className="filters">
        <input className="findbox" type="search" value={text} onChange={(e) => setText(e.target.value)} placeholder="Find, such as type:secret by:anna after:7d" aria-label="Find in the audit trail" spellCheck={false} autoComplete="off" />
      </div>
      <div className={open ? 'two' : undefined}>
        <Panel flush>
          <Loaded query={list} what="The audit trail cannot be read" rows={12}>
            {() => (
              <>
                <Table
                  label="Audit trail"
                  twoLines
                  columns={columns}
                  rows={all}
                  rowKey={(a) => a.key}
                  selected={at}
                  onSelect={(a) => setAt(a.key === at ? '' : a.key)}
                  onEnd={all.length > 0 ? more : undefined}
                  empty={
                    q ? (
                      <Empty title="Nothing matches" action={<button type="button" className="button" onClick={clear}>Remove the filter</button>}>
                        No act {last?.cursor ? 'that was looked at so far ' : ''}matches <code>{q}</code>.
                      </Empty>
                    ) : (
                      <Empty title="Nothing was done yet" cli="tutti audit list" />
                    )
                  }
                />
                {last?.cursor && last.back && (
                  <p className="ev-back dim">
                    <span>
                      Looked back to <Time at={last.back} />
                    </span>
                    <Button busy={list.isFetchingNextPage} onClick={more}>
                      Look further back
                    </Button>
                  </p>
                )}
              </>
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
          ['When', <Time key="a" at={a.at} />],
          ['Who', person(a.subject)],
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
