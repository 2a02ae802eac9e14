import { useGet } from '@/api/hooks'
import type { Approval, Run, TaskRequest } from '@/api/types'
import { Empty, Facts, LinkButton, Loaded, Page, Panel, StateChip, Table, Time, Took, type Column } from '@/kit'
import { count, person } from '@/lib/format'
import { useMe } from '@/lib/me'
import { Link } from '@/lib/router'

/** Home shows what needs the person, what runs now, and whether all is well. */
export default function Home() {
  return (
    <Page title="Home" cli="tutti status">
      <NeedsYou />
      <div className="two">
        <RunningNow />
        <Health />
      </div>
    </Page>
  )
}

interface Need {
  key: string
  state: string
  text: string
  why: string
  at: string
  to: string
  verb: string
}

/** needs puts what waits for a person in one list, the oldest decision first. */
export function needs(approvals: Approval[], requests: TaskRequest[]): Need[] {
  return [
    ...approvals.map((a) => ({
      key: `${a.run} ${a.task}`,
      state: 'waiting',
      text: a.text || `${a.workflow}: ${a.task}`,
      why: `asked for by ${person(a.requester)}`,
      at: a.asked,
      to: `/runs/${a.run}?row=${encodeURIComponent(`${a.run}/${a.task}`)}`,
      verb: 'Decide',
    })),
    ...requests.map((r) => ({
      key: r.id,
      state: r.state,
      text: r.title || r.name,
      why: r.failure?.message ?? r.reason?.text ?? '',
      at: r.ended ?? r.created,
      to: `/requests/${r.id}`,
      verb: r.state === 'failed' ? 'See why' : 'Open',
    })),
  ]
}

const needColumns: Column<Need>[] = [
  { key: 'state', title: 'State', width: 116, cell: (n) => <StateChip state={n.state} /> },
  {
    key: 'what',
    title: 'What',
    cell: (n) => (
      <span className="clip">
        <Link to={n.to} className="strong">
          {n.text}
        </Link>{' '}
        <span className="dim">{n.why}</span>
      </span>
    ),
  },
  { key: 'at', title: 'Since', width: 110, wide: true, cell: (n) => <Time at={n.at} /> },
  { key: 'do', title: <span className="vh">Act</span>, width: 100, num: true, cell: (n) => <LinkButton to={n.to}>{n.verb}</LinkButton> },
]

function NeedsYou() {
  const me = useMe()
  const approvals = useGet('/v1/namespaces/{namespace}/approvals', { query: { limit: 100 } })
  const failed = useGet('/v1/namespaces/{namespace}/requests', { query: { state: 'failed', requester: me.subject, limit: 100 } })
  return (
    <Panel title="Needs you" flush>
      <Loaded query={approvals} what="What waits for a decision cannot be read" rows={3}>
        {(a) => (
          <Table
            label="What needs you"
            columns={needColumns}
            rows={needs(a.items ?? [], failed.data?.items ?? []).slice(0, 8)}
            rowKey={(n) => n.key}
            href={(n) => n.to}
            rowHeight={38}
            empty={<Empty title="Nothing needs you" cli="tutti approval list">Decisions that wait for somebody, and requests of yours that failed, are shown here.</Empty>}
          />
        )}
      </Loaded>
    </Panel>
  )
}

/** done counts the tasks of a run that have ended, and all that are known. */
export function done(r: Pick<Run, 'counts'>): [number, number] {
  const c = r.counts ?? {}
  const all = Object.values(c).reduce((a, b) => a + b, 0)
  return [all - (c.pending ?? 0) - (c.running ?? 0) - (c.waiting ?? 0), all]
}

const runColumns: Column<Run>[] = [
  { key: 'state', title: 'State', width: 116, cell: (r) => <StateChip state={r.state} /> },
  {
    key: 'name',
    title: 'Run',
    cell: (r) => (
      <span className="clip">
        <Link to={r.request ? `/requests/${r.request}` : `/runs/${r.id}`} className="strong">
          {r.title || r.workflow}
        </Link>{' '}
        <span className="dim">{r.reason?.text}</span>
      </span>
    ),
  },
  {
    key: 'progress',
    title: 'Tasks',
    width: 150,
    wide: true,
    cell: (r) => {
      const [n, all] = done(r)
      return all > 0 && (
        <span className="progress">
          <progress max={all || 1} value={n} aria-label={`${n} of ${all} tasks ended`} />
          <span className="dim nums">
            {n}/{all}
          </span>
        </span>
      )
    },
  },
  { key: 'took', title: 'For', width: 76, num: true, cell: (r) => <Took from={r.created} to={r.ended} /> },
]

function RunningNow() {
  const running = useGet('/v1/namespaces/{namespace}/runs', { query: { state: 'running', limit: 8 } })
  const waiting = useGet('/v1/namespaces/{namespace}/runs', { query: { state: 'waiting', limit: 8 } })
  return (
    <Panel title="Running now" flush>
      <Loaded query={running} what="The runs cannot be read">
        {(r) => (
          <Table
            label="Running now"
            columns={runColumns}
            rows={[...(r.items ?? []), ...(waiting.data?.items ?? [])].filter((x) => !x.parent).slice(0, 8)}
            rowKey={(x) => x.id}
            href={(x) => (x.request ? `/requests/${x.request}` : `/runs/${x.id}`)}
            empty={<Empty title="Nothing runs" cli="tutti run list">Runs are followed here from the moment they start.</Empty>}
          />
        )}
      </Loaded>
    </Panel>
  )
}

function Health() {
  const presence = useGet('/v1/presence', {}, { refetchInterval: 10_000 })
  const recent = useGet('/v1/namespaces/{namespace}/runs', { query: { limit: 200 } })
  const ended = (recent.data?.items ?? []).filter((r) => r.ended)
  const failed = ended.filter((r) => r.state === 'failed').length
  return (
    <Panel title="Health">
      <Loaded query={presence} what="The services cannot be asked" rows={2}>
        {(p) => {
          const all = p.items ?? []
          const down = all.filter((x) => x.state !== 'up')
          return (
            <div className="stack">
              <StateChip state={down.length ? 'failed' : 'succeeded'}>{down.length ? `${down.length} of ${count(all.length, 'service')} down` : `${count(all.length, 'service')} up`}</StateChip>
              {down.length > 0 && <p className="dim">{down.map((d) => `${d.name} on ${d.host}`).join(', ')}</p>}
              <Facts
                items={[
                  ['Runs that ended, of the last 200', ended.length],
                  ['Failed', ended.length ? `${failed} (${Math.round((100 * failed) / ended.length)}%)` : ''],
                  ['Version', all[0]?.version],
                ]}
              />
            </div>
          )
        }}
      </Loaded>
    </Panel>
  )
}
