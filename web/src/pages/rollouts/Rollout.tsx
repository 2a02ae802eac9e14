import { useState } from 'react'
import { useAction, useGet } from '@/api/hooks'
import type { Schemas } from '@/api/client'
import { Button, Confirm, Empty, Facts, FilterChip, Glyph, Loaded, Page, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { count, person } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { useQueryParam } from '@/lib/router'
import { back, outcomes, stateOf, waves, type Rollout } from './board'
import { Cells, most } from './Cells'
import { Ribbon } from './Rollouts'
import './rollouts.css'

const at = '/v1/namespaces/{namespace}/rollouts/{entity}' as const

/** RolloutPage is the board of one entity. */
export default function RolloutPage({ entity = '' }: Record<string, string>) {
  const rollout = useGet(at, { path: { entity } }, { refetchInterval: 2000 })
  const r = rollout.data as Rollout | undefined
  return (
    <Page
      title={entity}
      chip={r && <StateChip state={stateOf(r).state}>{stateOf(r).word}</StateChip>}
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
                  ['Last known good', r.good],
                  ['Known bad', r.bad?.join(', ')],
                  ['Batch', r.batch ? count(r.batch, 'target') : ''],
                  ['Soak', r.policy?.soak],
                  ['Needs', `${r.policy?.success || 100} %`],
                  ['Began', r.began && <Time key="b" at={r.began} />],
                  ['May be done', r.ready && <Time key="r" at={r.ready} />],
                ]}
              />
              <Board r={r} />
              <Targets entity={entity} />
              <History entity={entity} />
            </>
          )
        }}
      </Loaded>
    </Page>
  )
}

function Board({ r }: { r: Rollout }) {
  const cells = useGet(`${at}/cells`, { path: { entity: r.entity } }, { refetchInterval: 2000 })
  const [, filter] = useQueryParam('outcome')
  return (
    <Panel title={`${r.succeeded} of ${r.targets}`}>
      <div className="stack">
        <Ribbon r={r} tall />
        {(r.rule || r.why || r.waiting) && (
          <p role="status">
            {r.rule && (
              <>
                It <b>{r.rule}</b>.{' '}
              </>
            )}
            {r.why && <>{r.why}. </>}
            {r.waiting && r.waiting.length > 0 && <span className="dim">Nothing more is asked now: {r.waiting.join('; ')}.</span>}
          </p>
        )}
        <Loaded query={cells} what="The targets cannot be drawn">
          {({ cells, truncated }) => (
            <>
              <div className="board">
                {waves(r, cells).map((w) => [
                  <div key={w.label} className="wavehead">
                    <Glyph state={w.state} title={w.state} />
                    <span>
                      {w.label} <span className="dim small nums">{count(w.to - w.from, 'target')}</span>
                    </span>
                  </div>,
                  w.state === 'pending' ? (
                    <div key={w.label + ' cells'} className="dim folded">
                      not begun
                    </div>
                  ) : (
                    <div key={w.label + ' cells'}>
                      <Cells cells={cells.slice(w.from, w.to)} small={cells.length > most} onPick={(word) => filter(word)} />
                      <span className="dim small nums">{w.note}</span>
                    </div>
                  ),
                ])}
              </div>
              {cells === '' && <Empty title="No target has been reported yet" cli={`tutti api POST /v1/namespaces/default/rollouts/${r.entity}/orchestrate -d '{"reports": [{"name": "web-1", "version": "v1"}]}'`} />}
              {truncated && <p className="dim">The first million targets are drawn.</p>}
            </>
          )}
        </Loaded>
      </div>
    </Panel>
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
            {r.version} is bad from now on. Only the targets it has reached go back to {r.good}: the broken first, then the newest, within the limits, without waits.
          </p>
        </Confirm>
      )}
    </>
  )
}

type Target = Schemas['RolloutTarget']

const targetColumns: Column<Target>[] = [
  { key: 'name', title: 'Target', cell: (t) => (t.group ? `${t.group}/${t.name}` : t.name), sort: (t) => `${t.group}/${t.name}` },
  { key: 'outcome', title: 'Outcome', width: 140, cell: (t) => <StateChip state={Object.values(outcomes).find((o) => o.word === t.outcome)?.state ?? 'pending'}>{t.outcome}</StateChip>, sort: (t) => t.outcome },
  { key: 'version', title: 'Runs', width: 120, cell: (t) => t.version ?? '', sort: (t) => t.version ?? '' },
  { key: 'wanted', title: 'Is to run', width: 120, cell: (t) => t.wanted ?? '', wide: true },
  { key: 'health', title: 'Health', width: 100, cell: (t) => (t.silent ? 'silent' : t.health), wide: true },
  { key: 'heard', title: 'Heard', width: 100, cell: (t) => <Time at={t.heard} />, wide: true },
  { key: 'message', title: 'Message', cell: (t) => t.message ?? '', wide: true },
]

function Targets({ entity }: { entity: string }) {
  const [outcome, setOutcome] = useQueryParam('outcome')
  const known = ['untouched', 'pending', 'wavering', 'succeeded', 'failed'] as const
  const only = known.find((o) => o === outcome)
  const list = useGet(`${at}/targets`, { path: { entity }, query: { limit: 200, ...(only ? { outcome: only } : {}) } }, { refetchInterval: 5000 })
  return (
    <Panel
      title="Targets"
      flush
      actions={known.map((o) => (
        <FilterChip key={o} state={Object.values(outcomes).find((x) => x.word === o)?.state ?? 'pending'} on={only === o} onChange={(on) => setOutcome(on ? o : '')}>
          {o}
        </FilterChip>
      ))}
    >
      <Loaded query={list} what="The targets cannot be read">
        {(p) => (
          <>
            <Table label="Targets" columns={targetColumns} rows={(p.items ?? []) as Target[]} rowKey={(t) => `${t.group}/${t.name}`} empty={<Empty title={only ? `No target is ${only}` : 'There is no target'} />} />
            {p.cursor && <p className="dim pad">The first 200 are shown; tutti rollout targets {entity} lists all.</p>}
          </>
        )}
      </Loaded>
    </Panel>
  )
}

function History({ entity }: { entity: string }) {
  const list = useGet(`${at}/history`, { path: { entity }, query: { limit: 30 } }, { refetchInterval: 5000 })
  type Entry = Schemas['RolloutEntry']
  return (
    <Panel title="What happened" flush>
      <Loaded query={list} what="The history cannot be read">
        {(p) => (
          <Table
            label="What happened"
            columns={[
              { key: 'at', title: 'When', width: 120, cell: (e: Entry) => <Time at={e.at} /> },
              { key: 'to', title: 'State', width: 120, cell: (e: Entry) => e.to },
              { key: 'by', title: 'By', width: 140, cell: (e: Entry) => (e.by ? person(e.by) : 'the planner'), wide: true },
              { key: 'text', title: 'Why', cell: (e: Entry) => e.text },
            ]}
            rows={(p.items ?? []) as Entry[]}
            rowKey={(e) => String(e.seq)}
            empty={<Empty title="Nothing happened yet" />}
          />
        )}
      </Loaded>
    </Panel>
  )
}
