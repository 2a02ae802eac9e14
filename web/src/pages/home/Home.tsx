import type { UseQueryResult } from '@tanstack/react-query'
import type { ApiError, Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { states, type Approval, type Run, type TaskRequest } from '@/api/types'
import { Empty, Facts, LinkButton, Loaded, Page, Panel, StateChip, Table, Time, Took, type Column } from '@/kit'
import { now } from '@/lib/clock'
import { clock, count, duration, milliseconds, person } from '@/lib/format'
import { useNarrow } from '@/lib/narrow'
import { Link } from '@/lib/router'
import { useTopic } from '@/live/hooks'
import './home.css'

/** Home shows what needs the person, what runs now, and whether all is well. */
export default function Home() {
  const home = useGet('/v1/namespaces/{namespace}/home', {}, { refetchInterval: 5000, meta: { live: false } })
  useTopic('counts', () => void home.refetch())
  return (
    <Page title="Home" cli="tutti status">
      <NeedsYou home={home} />
      <div className="two">
        <RunningNow home={home} />
        <HealthPanel home={home} />
      </div>
    </Page>
  )
}

type HomeQuery = UseQueryResult<Schemas['Home'], ApiError>

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

function NeedsYou({ home }: { home: HomeQuery }) {
  const narrow = useNarrow()
  const rows = home.data ? needs(home.data.approvals ?? [], home.data.failed ?? []) : []
  const more = home.data ? home.data.counts.approvals + home.data.counts.failed - Math.min(rows.length, 8) : 0
  return (
    <Panel title="Needs you" flush>
      <Loaded query={home} what="What needs you cannot be read" rows={3}>
        {() => (
          <>
            <Table
              label="What needs you"
              columns={needColumns}
              rows={rows.slice(0, 8)}
              rowKey={(n) => n.key}
              href={(n) => n.to}
              rowHeight={narrow ? 46 : 38}
              empty={<Empty title="Nothing needs you" cli="tutti approval list">Decisions that you may take, and requests of yours that failed, are shown here.</Empty>}
            />
            {more > 0 && (
              <p className="pad dim">
                and {more} more: <Link to="/approvals">approvals</Link>, <Link to="/requests?state=failed&by=me">failed requests</Link>
              </p>
            )}
          </>
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
  { key: 'usual', title: 'Usually', width: 84, num: true, wide: true, cell: (r) => r.expected && <span className="dim nums">{duration(milliseconds(r.expected.p50))}</span> },
]

function RunningNow({ home }: { home: HomeQuery }) {
  return (
    <Panel title="Running now" flush>
      <Loaded query={home} what="The runs cannot be read">
        {(h) => (
          <>
            <Table
              label="Running now"
              twoLines
              columns={runColumns}
              rows={(h.running ?? []) as Run[]}
              rowKey={(x) => x.id}
              href={(x) => (x.request ? `/requests/${x.request}` : `/runs/${x.id}`)}
              empty={<Empty title="Nothing runs" cli="tutti run list">Runs are followed here from the moment they start.</Empty>}
            />
            {h.counts.runs > (h.running?.length ?? 0) && (
              <p className="pad dim">
                and {h.counts.runs - (h.running?.length ?? 0)} more <Link to="/runs?state=running">runs</Link>
              </p>
            )}
          </>
        )}
      </Loaded>
    </Panel>
  )
}

/** rate is how many of the runs that ended in the last hours failed: failed, and all. */
export function rate(hours: Schemas['HourOfRuns'][]): [number, number] {
  let failed = 0
  let all = 0
  for (const h of hours) {
    failed += h.states?.failed ?? 0
    all += (h.states?.failed ?? 0) + (h.states?.succeeded ?? 0) + (h.states?.cancelled ?? 0)
  }
  return [failed, all]
}

function HealthPanel({ home }: { home: HomeQuery }) {
  return (
    <Panel title="Health">
      <Loaded query={home} what="How the installation does cannot be read" rows={2}>
        {({ health: h }) => {
          const [failed, all] = rate(h.hours ?? [])
          const down = h.down ?? []
          const waiting = (h.queue ?? []).filter((q) => q.queued > 0)
          return (
            <div className="stack">
              <StateChip state={down.length ? 'failed' : 'succeeded'}>{down.length ? `${down.length} of ${count(h.total, 'service')} down` : `${count(h.up, 'service')} up`}</StateChip>
              {down.length > 0 && <p className="dim">{down.map((d) => `${d.name} on ${d.host}`).join(', ')}</p>}
              {waiting.map((q) => (
                <p key={q.pool}>
                  {count(q.queued, 'task')} ready for the pool {q.pool}, the oldest since {q.run ? <Link to={`/runs/${q.run}`}><Time at={q.oldest} /></Link> : <Time at={q.oldest} />}
                </p>
              ))}
              <Hours hours={h.hours ?? []} />
              <Facts items={[['Failed in 24 hours', all ? `${failed} of ${all} (${Math.round((100 * failed) / all)}%)` : 'nothing ended']]} />
            </div>
          )
        }}
      </Loaded>
    </Panel>
  )
}

/** Hours is how the runs of the last day went, an hour a bar. */
function Hours({ hours }: { hours: Schemas['HourOfRuns'][] }) {
  const total = (h: Schemas['HourOfRuns']) => Object.values(h.states ?? {}).reduce((a, b) => a + b, 0)
  const most = Math.max(1, ...hours.map(total))
  const [failed, all] = rate(hours)
  return (
    <div className="hours" role="img" aria-label={`Runs by hour, of the last ${hours.length} hours: ${all} ended, ${failed} of them failed`}>
      {hours.map((h) => (
        <span key={h.at} title={`${clock(Date.parse(h.at), now())}: ${Object.entries(h.states ?? {}).map(([s, n]) => `${n} ${s}`).join(', ') || 'none'}`}>
          {states.filter((s) => h.states?.[s]).map((s) => (
            <i key={s} data-state={s} style={{ height: `${(100 * (h.states?.[s] ?? 0)) / most}%` }} />
          ))}
        </span>
      ))}
    </div>
  )
}
