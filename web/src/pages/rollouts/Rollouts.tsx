import { useGet } from '@/api/hooks'
import { Empty, Loaded, Page, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { ribbon, stateOf, type Rollout } from './board'
import './rollouts.css'

const columns: Column<Rollout>[] = [
  { key: 'entity', title: 'Entity', cell: (r) => r.entity, sort: (r) => r.entity },
  { key: 'version', title: 'Version', cell: (r) => (r.good && r.version && r.good !== r.version ? `${r.good} → ${r.version}` : (r.version ?? '')), sort: (r) => r.version ?? '' },
  { key: 'state', title: 'State', width: 170, cell: (r) => <StateChip state={stateOf(r).state}>{stateOf(r).word}</StateChip>, sort: (r) => r.state },
  { key: 'done', title: 'Targets', width: 140, cell: (r) => <Ribbon r={r} />, wide: true },
  { key: 'wave', title: 'Wave', width: 80, cell: (r) => (r.wave ? `${r.wave} of ${r.waves}` : ''), wide: true },
  { key: 'bad', title: 'Failed', width: 80, num: true, cell: (r) => (r.action ? `${r.failed} / ${r.allowed ?? 0}` : String(r.failed)), sort: (r) => r.failed },
  { key: 'lkb', title: 'Known bad', width: 120, cell: (r) => r.bad?.[0] ?? '', wide: true },
  { key: 'began', title: 'Began', width: 110, cell: (r) => <Time at={r.began} />, sort: (r) => r.began ?? '', wide: true },
]

/** Rollouts lists the entities with how far their versions are. */
export default function Rollouts() {
  const list = useGet('/v1/namespaces/{namespace}/rollouts', { query: { limit: 500 } }, { refetchInterval: 5000 })
  return (
    <Page title="Rollouts" cli="tutti rollout list">
      <Panel flush>
        <Loaded query={list} what="The rollouts cannot be read">
          {(p) => (
            <Table
              label="Rollouts"
              columns={columns}
              rows={(p.items ?? []) as Rollout[]}
              rowKey={(r) => r.entity}
              href={(r) => `/rollouts/${encodeURIComponent(r.entity)}`}
              empty={<Empty title="Nothing is rolled out yet" cli="tutti rollout start app-service v1" />}
            />
          )}
        </Loaded>
      </Panel>
    </Page>
  )
}

/** Ribbon is a bar of the outcomes of all targets. */
export function Ribbon({ r, tall }: { r: Rollout; tall?: boolean }) {
  return (
    <span className={tall ? 'ribbon tall' : 'ribbon'} role="img" aria-label={`${r.succeeded} of ${r.targets} succeeded, ${r.failed} failed, ${r.pending} pending`}>
      {ribbon(r).map((p) => (
        <i key={p.state} data-state={p.state} style={{ width: `${p.share * 100}%` }} />
      ))}
    </span>
  )
}
