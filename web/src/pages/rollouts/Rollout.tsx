import { useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { useAction, useGet } from '@/api/hooks'
import type { Schemas } from '@/api/client'
import { Button, Confirm, Empty, Facts, FilterChip, Loaded, Page, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { now } from '@/lib/clock'
import { count, person } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { useQueryParam } from '@/lib/router'
import { useTopic } from '@/live/hooks'
import { back, outcomes, stateOf, waves, type Rollout } from './board'
import { Cells, most } from './Cells'
import { Ribbon } from './Rollouts'
import './rollouts.css'

const at = '/v1/namespaces/{namespace}/rollouts/{entity}' as const

/** RolloutPage is the board of one entity. */
export default function RolloutPage({ entity = '' }: Record<string, string>) {
  const rollout = useGet(at, { path: { entity } })
  useChanges(entity)
  const r = rollout.data as Rollout | undefined
  return (
    <Page
      title={entity}
      chip={r && <Says r={r} />}
      crumbs={[
        ['Rollouts', '/rollouts'],
        [entity, ''],
      ]}
      actions={r && <Actions r={r} />}
      cli={`tutti rollout watch ${entity}`}
    >
      <Loaded query={rollout} what="The rollout cannot be read">
        {(data) => {
          const r = data as Rollout
          return (
            <>
              <Facts
                items={[
                  ['Version', r.version],
                  ['Waits', r.wanted !== r.version ? r.wanted : ''],
                  ['Last known good', r.good && <>{r.good}{r.goodSince && !r.goodSince.startsWith('0001') && <span className="dim"> since <Time at={r.goodSince} /></span>}</>],
                  ['Known bad', r.bad?.join(', ')],
                  ['Wave', r.wave ? `${r.wave} of ${r.waves}` : ''],
                  ['Asked at once', r.batch ? `up to ${count(r.batch, 'target')}` : ''],
                  ['Soak', r.policy?.soak],
                  ['Success needed', `${r.policy?.success || 100} %`],
                  ['Began', r.began && <Time key="b" at={r.began} />],
                  ['Could be done', r.ready && Date.parse(r.ready) > now() && <Time key="r" at={r.ready} />],
                ]}
              />
              <Board r={r} />
              <div className="two">
                <Targets entity={entity} />
                <History entity={entity} />
              </div>
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

/** Says is the state of a rollout as a chip. */
export function Says({ r }: { r: Rollout }) {
  const { state, word } = stateOf(r)
  return (
    <StateChip state={state}>
      <span className="cap">{word}</span>
    </StateChip>
  )
}

/** useChanges reads again what is shown of an entity when the server says that it changed, at most every half second. */
function useChanges(entity: string) {
  const queries = useQueryClient()
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useTopic(entity && `rollout:${entity}`, () => {
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      void queries.invalidateQueries({ predicate: (q) => String(q.queryKey[0] ?? '').startsWith(at) })
    }, 500)
  })
  useEffect(() => () => clearTimeout(timer.current), [])
}

function Board({ r }: { r: Rollout }) {
  const cells = useGet(`${at}/cells`, { path: { entity: r.entity } })
  const [, filter] = useQueryParam('outcome')
  const share = r.targets ? Math.floor((100 * r.succeeded) / r.targets) : 0
  return (
    <section className="panel" aria-label="Board">
      <div className="boardhead">
        <h2>
          {r.succeeded} of {count(r.targets, 'target')}
          {r.version && ` on ${r.version}`} <span className="dim nums">{share} %</span>
        </h2>
        {r.rule && <span className="dim">{r.rule}</span>}
        <Ribbon r={r} tall />
        {(r.why || (r.waiting ?? []).length > 0) && (
          <p role="status" className="dim">
            {r.why && <>{r.why}. </>}
            {(r.waiting ?? []).length > 0 && <>Nothing more is asked now: {r.waiting!.join('; ')}.</>}
          </p>
        )}
      </div>
      <Loaded query={cells} what="The targets cannot be drawn">
        {({ cells, truncated }) => (
          <>
            {waves(r, cells).map((w) => (
              <div key={w.label} className="wave">
                <div>
                  <b>{w.label}</b>
                  <span className="dim small nums">{count(w.to - w.from, 'target')}</span>
                </div>
                {w.state === 'pending' ? <span className="dim">not begun</span> : <Cells cells={cells.slice(w.from, w.to)} small={cells.length > most} onPick={(word) => filter(word)} />}
                <div>
                  <StateChip state={w.state}>
                    {w.state === 'pending' ? '' : `${[...cells.slice(w.from, w.to)].filter((c) => c === 's').length} of `}
                    {w.to - w.from}
                  </StateChip>
                  {w.state !== 'pending' && w.state !== 'succeeded' && <span className="dim small nums">{w.note}</span>}
                </div>
              </div>
            ))}
            {cells === '' && <Empty title="No target has been reported yet" cli={`tutti api POST /v1/namespaces/default/rollouts/${r.entity}/orchestrate -d '{"reports": [{"name": "web-1", "version": "v1"}]}'`} />}
            {truncated && <p className="dim pad">The first million targets are drawn.</p>}
          </>
        )}
      </Loaded>
    </section>
  )
}

function Actions({ r }: { r: Rollout }) {
  const [ask, setAsk] = useState(false)
  const done = (text: string) => ({ done: text, refresh: [at, `${at}/history`] as [typeof at, `${typeof at}/history`] })
  const act = useAction(`${at}/{verb}`, { ...done('Done'), onDone: () => setAsk(false) })
  const going = r.state === 'rolling'
  const run = (verb: 'pause' | 'resume' | 'skip' | 'promote' | 'abort', why = '') => act.mutate({ path: { entity: r.entity, verb }, body: why ? { why } : {} })
  const mayResume = r.paused || r.state === 'stopped'
  const verb = mayResume ? 'resume' : 'pause'
  const waits = going && (r.settled || (r.waiting ?? []).some((w) => w.startsWith('gate')))
  useKeys([{ keys: 'p', does: mayResume ? 'Resume' : 'Pause', run: () => (going || mayResume || r.state === 'rolling back') && run(verb), group: 'Page' }])
  return (
    <>
      {(going || mayResume || r.state === 'rolling back') && (
        <Button perm="rollout.control" busy={act.isPending} onClick={() => run(verb)}>
          {mayResume ? 'Resume' : 'Pause'} <kbd>p</kbd>
        </Button>
      )}
      {going && (
        <Button perm="rollout.control" off={waits ? undefined : 'it waits for neither a bake nor a gate'} busy={act.isPending} onClick={() => run('skip')}>
          Skip wait
        </Button>
      )}
      {going && (
        <Button perm="rollout.control" kind="danger" off={r.good && r.good !== r.version ? undefined : 'no version is known to be good'} onClick={() => setAsk(true)}>
          Abort and roll back…
        </Button>
      )}
      {ask && (
        <Confirm title={back(r)} verb={back(r)} danger reason="optional" busy={act.isPending} onClose={() => setAsk(false)} onConfirm={(why) => run('abort', why)}>
          <p>
            {r.version} is bad from now on. Only the targets it has reached go back to {r.good}: the broken first, then the newest, within the limits, without waits. {r.untouched > 0 && `${count(r.untouched, 'target')} it has not reached ${r.untouched === 1 ? 'stays' : 'stay'} as now. `}
            {r.version} is refused until someone retries it.{r.wanted !== r.version && ` Then ${r.wanted} goes out, which waits for its turn.`}
          </p>
        </Confirm>
      )}
    </>
  )
}

type Target = Schemas['RolloutTarget']

const targetColumns: Column<Target>[] = [
  { key: 'name', title: 'Target', cell: (t) => <span className="clip">{t.group ? `${t.group}/${t.name}` : t.name}</span>, sort: (t) => `${t.group}/${t.name}` },
  { key: 'outcome', title: 'Outcome', width: 128, cell: (t) => <StateChip state={Object.values(outcomes).find((o) => o.word === t.outcome)?.state ?? 'pending'}><span className="cap">{t.outcome}</span></StateChip>, sort: (t) => t.outcome },
  { key: 'version', title: 'Version', width: 130, cell: (t) => (t.wanted && t.wanted !== t.version ? `${t.version ?? 'none'} → ${t.wanted}` : (t.version ?? '')), sort: (t) => t.version ?? '' },
  { key: 'says', title: 'Says', cell: (t) => <span className="clip">{[t.silent ? 'silent' : t.health, t.message].filter(Boolean).join(': ')}</span>, wide: true },
  { key: 'heard', title: 'Heard', width: 96, cell: (t) => <Time at={t.heard} />, wide: true },
]

function Targets({ entity }: { entity: string }) {
  const [outcome, setOutcome] = useQueryParam('outcome')
  const known = ['untouched', 'pending', 'wavering', 'succeeded', 'failed'] as const
  const only = known.find((o) => o === outcome)
  const list = useGet(`${at}/targets`, { path: { entity }, query: { limit: 200, ...(only ? { outcome: only } : {}) } })
  return (
    <Panel
      title="Targets"
      flush
      actions={known.map((o) => (
        <FilterChip key={o} state={Object.values(outcomes).find((x) => x.word === o)?.state ?? 'pending'} on={only === o} onChange={(on) => setOutcome(on ? o : '')}>
          <span className="cap">{o}</span>
        </FilterChip>
      ))}
    >
      <Loaded query={list} what="The targets cannot be read">
        {(p) => (
          <>
            <Table label="Targets" twoLines columns={targetColumns} rows={(p.items ?? []) as Target[]} rowKey={(t) => `${t.group}/${t.name}`} empty={<Empty title={only ? `No target is ${only}` : 'There is no target'} />} />
            {p.cursor && <p className="dim pad">The first 200 are shown; tutti rollout targets {entity} lists all.</p>}
          </>
        )}
      </Loaded>
    </Panel>
  )
}

function History({ entity }: { entity: string }) {
  const list = useGet(`${at}/history`, { path: { entity }, query: { limit: 30 } })
  return (
    <Panel title="What happened" flush>
      <Loaded query={list} what="The history cannot be read">
        {(p) =>
          (p.items ?? []).length === 0 ? (
            <Empty title="Nothing happened yet" />
          ) : (
            <ul className="happened">
              {(p.items ?? []).map((e) => (
                <li key={e.seq}>
                  <span className="dim nums">
                    <Time at={e.at} />
                  </span>
                  <span>
                    {e.text || e.to} <span className="dim">by {e.by ? person(e.by) : 'the planner'}</span>
                  </span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  )
}
