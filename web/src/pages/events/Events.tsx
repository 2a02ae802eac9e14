import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo, useRef, useState } from 'react'
import { fetchGet } from '@/api/hooks'
import type { ApiError, Schemas } from '@/api/client'
import { Button, Empty, Facts, FilterChip, Id, Json, LinkButton, Loaded, Page, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { useNamespace } from '@/lib/me'
import { Link, setQuery, useQueryParam } from '@/lib/router'
import { part, withPart } from '@/lib/trail'
import { useTopic } from '@/live/hooks'
import { Histogram } from './Histogram'
import './events.css'

type Found = Schemas['FoundEvent']
const path = '/v1/namespaces/{namespace}/events'
const shown = ['failed', 'waiting', 'running', 'succeeded', 'cancelled'] as const

const columns: Column<Found>[] = [
  { key: 'at', title: 'When', width: 90, cell: (e) => <Time at={e.at} /> },
  { key: 'state', title: 'State', width: 118, cell: (e) => e.state && <StateChip state={e.state} /> },
  { key: 'type', title: 'What', width: 210, wide: true, cell: (e) => <code className="clip" title={e.type}>{e.type.replace(/^tutti\./, '')}</code> },
  {
    key: 'title',
    title: 'Of',
    cell: (e) => (
      <span className="clip">
        <Link to={pageOf(e) || `/events?q=${encodeURIComponent(`object:${e.subject}`)}`} className="strong">
          {e.title || e.subject}
        </Link>{' '}
        <span className="dim">{e.title && e.subject}</span>
      </span>
    ),
  },
  { key: 'by', title: 'By', width: 100, wide: true, cell: (e) => <span className="clip">{person(e.by)}</span> },
  { key: 'trace', title: 'Trace', width: 140, wide: true, cell: (e) => e.trace && <Id id={e.trace} /> },
]

/** pageOf is where what an event is about is shown; "" where nowhere. */
export function pageOf(e: Pick<Found, 'request' | 'run'>): string {
  return e.request ? `/requests/${e.request}` : e.run ? `/runs/${e.run}` : ''
}

/** Events searches what was committed in the namespace, and follows it. */
export default function Events() {
  const ns = useNamespace()
  const queries = useQueryClient()
  const [q] = useQueryParam('q')
  const [at, setAt] = useQueryParam('at')
  const [follow, setFollow] = useQueryParam('live', 'on')
  const [text, setText] = useState(q)
  const asked = useRef(q)
  useEffect(() => {
    if (q !== asked.current) setText((asked.current = q)) // by a link, or back
  }, [q])
  // What is typed is looked for a moment later.
  useEffect(() => {
    if (text.trim() === q) return
    const timer = setTimeout(() => setQuery({ q: (asked.current = text.trim()), at: '' }), 300)
    return () => clearTimeout(timer)
  }, [text, q])
  const key = [path, ns, 'search', q]
  const list = useInfiniteQuery<Schemas['FoundEvents'], ApiError, { pages: Schemas['FoundEvents'][] }, typeof key, string>({
    queryKey: key,
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { query: { limit: 100, ...(q && { q }), ...(pageParam ? { cursor: pageParam } : { buckets: 60 }) } }, signal),
    initialPageParam: '',
    getNextPageParam: (last) => last.cursor || undefined,
    retry: false,
    placeholderData: (old) => old,
  })
  useLive(follow === 'on', () => void queries.invalidateQueries({ queryKey: key }))
  useKeys([{ keys: 'f', does: 'Follow what happens', run: () => setFollow(follow === 'on' ? 'off' : 'on'), group: 'Page' }])
  const all = useMemo(() => list.data?.pages.flatMap((p) => p.items ?? []) ?? [], [list.data])
  const open = all.find((e) => e.id === at)
  const last = list.data?.pages.at(-1)
  const histogram = list.data?.pages[0]?.histogram
  const more = () => {
    if (list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage()
  }
  const set = (query: string) => setQuery({ q: query, at: '' }, { push: true })
  const state = part(q, 'state')
  return (
    <Page
      title="Events"
      cli={q ? `tutti event search '${q}'` : 'tutti event list'}
      actions={
        <Button aria-pressed={follow === 'on'} onClick={() => setFollow(follow === 'on' ? 'off' : 'on')}>
          {follow === 'on' ? 'Following' : 'Follow'} <kbd>f</kbd>
        </Button>
      }
    >
      <div className="filters" role="group" aria-label="Filter">
        <input className="findbox" type="search" value={text} onChange={(e) => setText(e.target.value)} placeholder="Find, such as disk trace:4bf9 by:anna after:2h" aria-label="Find in the events" spellCheck={false} autoComplete="off" />
        {shown.map((s) => (
          <FilterChip key={s} state={s} on={state === s} onChange={(on) => set(withPart(q, 'state', on ? s : ''))}>
            <span className="cap">{s}</span>
          </FilterChip>
        ))}
        {(part(q, 'after') || part(q, 'before')) && (
          <FilterChip on onChange={() => set(withPart(withPart(q, 'after', ''), 'before', ''))}>
            {[part(q, 'after') && `after ${part(q, 'after')}`, part(q, 'before') && `before ${part(q, 'before')}`].filter(Boolean).join(', ')} ✕
          </FilterChip>
        )}
      </div>
      <div className={open ? 'two' : undefined}>
        <Panel flush>
          <Loaded query={list} what="The events cannot be searched" rows={12}>
            {() => (
              <>
                {histogram && <Histogram of={histogram} onRange={(a, b) => set(withPart(withPart(q, 'after', iso(a)), 'before', iso(b)))} />}
                <Table
                  label="Events"
                  columns={columns}
                  rows={all}
                  rowKey={(e) => e.id}
                  selected={at}
                  onSelect={(e) => setAt(e.id === at ? '' : e.id)}
                  onEnd={all.length > 0 ? more : undefined}
                  empty={
                    q ? (
                      <Empty title="No event matches" action={<button type="button" className="button" onClick={() => set('')}>Remove the filters</button>}>
                        {last?.cursor ? 'None of those that were looked at so far' : 'Nothing that happened in this namespace'} matches <code>{q}</code>.
                      </Empty>
                    ) : (
                      <Empty title="Nothing has happened yet" cli="tutti event tail">
                        Requests, runs, definitions and resources say here what becomes of them.
                      </Empty>
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
        {open && <Details event={open} onClose={() => setAt('')} />}
      </div>
    </Page>
  )
}

const iso = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

/** useLive calls f after events came, at most once a second. */
function useLive(on: boolean, f: () => void) {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const latest = useRef(f)
  useEffect(() => {
    latest.current = f
  })
  useEffect(() => () => clearTimeout(timer.current), [])
  useTopic(on ? 'events' : '', () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      latest.current()
    }, 1000)
  })
}

function Details({ event: e, onClose }: { event: Found; onClose: () => void }) {
  const page = pageOf(e)
  return (
    <Panel title={e.type.replace(/^tutti\./, '')} className="side" actions={<Button kind="quiet" onClick={onClose}>Close</Button>}>
      <Facts
        items={[
          ['When', <span key="a" className="nums">{e.at}</span>],
          ['Of', <Id key="s" id={e.subject} />],
          ['By', e.by && person(e.by)],
          ['Trace', e.trace && <Id key="t" id={e.trace} />],
          ['Number', e.id],
        ]}
      />
      <div className="filters">
        {page && <LinkButton to={page}>{e.request ? 'Open the request' : 'Open the run'}</LinkButton>}
        {e.trace && <LinkButton to={`/events?q=${encodeURIComponent(`trace:${e.trace}`)}`}>All of this trace</LinkButton>}
      </div>
      {e.data !== undefined && e.data !== null && <Json value={e.data} label="Data" />}
    </Panel>
  )
}
