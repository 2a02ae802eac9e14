import { useGet } from '@/api/hooks'
import { Empty, Loaded, Page, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { Link } from '@/lib/router'
import { ribbon, stateOf, type Rollout } from './board'
import './rollouts.css'

/** move is from which version to which. */
const move = (r: Rollout): string => (r.good && r.version && r.good !== r.version ? `${r.good} → ${r.version}` : (r.version ?? ''))

const columns: Column<Rollout>[] = [
  { key: 'entity', title: 'Entity', cell: (r) => <span className="clip"><Link to={`/rollouts/${encodeURIComponent(r.entity)}`} className="strong">{r.entity}</Link> <span className="dim onlyphone">{move(r)}</span></span>, sort: (r) => r.entity },
  { key: 'version', title: 'Version', width: 200, wide: true, cell: move, sort: (r) => r.version ?? '' },
  {
    key: 'state',
    title: 'State',
    width: 150,
    cell: (r) => (
      <StateChip state={stateOf(r).state}>
        <span className="cap">{stateOf(r).word}</span>
      </StateChip>
    ),
    sort: (r) => r.state,
  },
  { key: 'done', title: 'Targets', width: 200, cell: (r) => <span className="progress"><Ribbon r={r} /> <span className="dim nums">{r.succeeded} of {r.targets}</span></span>, wide: true },
  { key: 'wave', title: 'Wave', width: 80, cell: (r) => (r.wave ? `${r.wave} of ${r.waves}` : ''), wide: true },
  { key: 'bad', title: 'Failed', width: 90, num: true, cell: (r) => <span title={r.action ? `${r.allowed ?? 0} may fail` : undefined} className={r.failed > 0 ? 'err' : undefined}>{r.failed}{r.action && <span className="dim"> of {r.allowed ?? 0}</span>}</span>, sort: (r) => r.failed },
  { key: 'lkg', title: 'Known good', width: 110, cell: (r) => r.good ?? '', wide: true },
  { key: 'lkb', title: 'Known bad', width: 110, cell: (r) => r.bad?.[0] ?? '', wide: true },
  { key: 'began', title: 'Began', width: 100, cell: (r) => <Time at={r.began} />, sort: (r) => r.began ?? '', wide: true },
]

/** Rollouts lists the entities with how far their versions are. */
export default function Rollouts() {
  const list = useGet('/v1/namespaces/{namespace}/rollouts', { query: { limit: 500 } }, { refetchInterval: 15_000 }) // with each transition it is read again at once
  return (
    <Page title="Rollouts" cli="tutti rollout list">
      <Panel flush>
        <Loaded query={list} what="The rollouts cannot be read">
          {(p) => (
            <Table
              label="Rollouts"
              twoLines
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
