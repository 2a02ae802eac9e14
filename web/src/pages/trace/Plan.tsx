import { useQuery } from '@tanstack/react-query'
import { client, type ApiError, type Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Empty, Id, Loaded, Panel, StateChip, Table, Tag, ValuesAndJson, type Column } from '@/kit'
import { Link } from '@/lib/router'
import { useNamespace } from '@/lib/me'
import { label } from '@/views/form/model'
import { planOf } from '@/views/terraform/model'
import { PlanView } from '@/views/terraform/PlanView'
import { CommitFiles } from './Detail'
import { planPath, type Row } from './model'

/** PlanTab is what a request is to do: its resource, the steps with what would undo them, and what it committed. */
export function PlanTab({ request, rows }: { request: string; rows: Row[] }) {
  const q = useGet('/v1/namespaces/{namespace}/requests/{id}', { path: { id: request } }, { enabled: !!request })
  const commits = rows.filter((r) => r.kind === 'commit')
  const plans = rows.filter((r) => r.kind !== 'attempt' && r.use === 'terraform.plan' && r.run && r.task && r.state === 'succeeded')
  if (!request && plans.length > 0)
    return (
      <>
        {plans.map((p) => (
          <Terraform key={p.id} row={p} />
        ))}
      </>
    )
  if (!request) return <Empty title="This run was started by itself">Only a request has a resource and a plan. The steps are in the graph.</Empty>
  return (
    <Loaded query={q} what="The request cannot be read">
      {(r) => (
        <div className="two">
          <div className="tabpanel">
            {plans.map((p) => (
              <Terraform key={p.id} row={p} />
            ))}
            {(r.resources ?? []).length > 0 ? <Resources items={(r.resources ?? []) as Item[]} /> : r.action && r.action !== 'create' ? <Done request={r} /> : <Steps request={r} rows={rows} />}
          </div>
          <div className="tabpanel">
            <Differs id={r.id} />
            <Panel title="Resource">
              <ValuesAndJson value={r.spec ?? r.params} label="Resource in the common format" />
            </Panel>
            {commits.map((c) => (
              <Panel key={c.id} title={c.title}>
                <CommitFiles row={c} />
              </Panel>
            ))}
          </div>
        </div>
      )}
    </Loaded>
  )
}

/** Terraform is the plan that a task of the trace made. */
function Terraform({ row }: { row: Row }) {
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}/task', { path: { id: row.run! }, query: { path: row.task! } }, { staleTime: Infinity })
  return (
    <Panel title={<h2>Terraform: {row.title}</h2>}>
      <Loaded query={q} what="The plan cannot be read">
        {(t) => {
          const plan = planOf(t.output)
          return plan ? <PlanView plan={plan} /> : <Empty title="The task gave no plan" />
        }}
      </Loaded>
    </Panel>
  )
}

type Item = Schemas['RequestItem']

const columns: Column<Item>[] = [
  { key: 'state', title: 'State', width: 124, cell: (i) => <StateChip state={i.state} /> },
  { key: 'name', title: 'Resource', cell: (i) => <Link to={`/resources/${encodeURIComponent(i.type)}/${encodeURIComponent(i.name)}`}>{i.name}</Link>, sort: (i) => i.name },
  { key: 'type', title: 'Type', width: 140, wide: true, cell: (i) => i.type, sort: (i) => i.type },
  { key: 'action', title: 'What', width: 90, cell: (i) => i.action ?? 'create' },
  { key: 'run', title: 'Run', width: 140, wide: true, cell: (i) => i.run && <Id id={i.run} to={`/runs/${i.run}`} /> },
]

/** Resources are those of a request for several. */
function Resources({ items }: { items: Item[] }) {
  return (
    <Panel title={`${items.length} resources`} flush>
      <Table label="Resources" columns={columns} rows={items} rowKey={(i) => `${i.type}/${i.name}`} />
    </Panel>
  )
}

/** Done is a request that changed what existed: its plan was against what stood then, and cannot be made anew. */
function Done({ request: r }: { request: Schemas['Request'] }) {
  return (
    <Panel title="What was asked">
      <p>
        To {r.action} <Link to={`/resources/${encodeURIComponent(r.type)}/${encodeURIComponent(r.name)}?tab=requests`}>{r.name}</Link>, which stood at request {r.base ? <Id id={r.base} to={`/requests/${r.base}`} /> : 'none'}.
      </p>
    </Panel>
  )
}

function Steps({ request, rows }: { request: Schemas['Request']; rows: Row[] }) {
  const ns = useNamespace()
  const plan = useQuery<Schemas['RequestPlan'], ApiError>({
    queryKey: ['plan', ns, request.id],
    queryFn: async () => (await client.POST('/v1/namespaces/{namespace}/requests/plan', { params: { path: { namespace: ns } }, body: { entry: request.entry, params: request.params } })).data as Schemas['RequestPlan'],
    retry: false,
    staleTime: 60_000,
  })
  const state = new Map(rows.filter((r) => r.run === request.run && r.task).map((r) => [planPath(r.task!), r.state]))
  return (
    <Panel title="Steps" flush>
      <Loaded query={plan} what="Its plan cannot be made anew">
        {(p) => (
          <>
            {(p.steps ?? []).map((s) => (
              <div key={s.path} className="planstep" style={{ paddingLeft: 12 + 18 * (s.path.split('.').length - 1) }}>
                {state.get(s.path) && <StateChip state={state.get(s.path)!} />}
                <span>{s.title || s.path}</span>
                {s.use && <Tag>{s.use}</Tag>}
                {s.when && (
                  <span className="dim clip">
                    when <code>{s.when}</code>
                  </span>
                )}
                {s.undo && <span className="dim tlsum">undo: {s.undo}</span>}
              </div>
            ))}
          </>
        )}
      </Loaded>
    </Panel>
  )
}

/** Differs says what a request asks for differently than the one before it of the same resource, where there is one. */
function Differs({ id }: { id: string }) {
  const q = useGet('/v1/namespaces/{namespace}/requests/{id}/diff', { path: { id } }, { retry: false, staleTime: 60_000 })
  const d = q.data
  if (!d?.from) return null
  const asked = d.params ?? []
  const rest = (d.spec ?? []).filter((c) => !asked.some((a) => a.path === c.path))
  return (
    <Panel title={<h2>Against <Link to={`/requests/${d.from.id}`}>{d.from.id}</Link></h2>} flush>
      {asked.length + rest.length === 0 ? (
        <p className="pad dim">It asks for the same.</p>
      ) : (
        <div className="scrollx" tabIndex={0} role="region" aria-label="What differs">
          <table className="diffs">
            <thead>
              <tr>
                <th scope="col">Field</th>
                <th scope="col">Before</th>
                <th scope="col">Now</th>
              </tr>
            </thead>
            <tbody>
              {[...asked, ...rest].map((c) => (
                <tr key={c.path}>
                  <th scope="row">
                    <code>{c.path}</code>
                  </th>
                  <td className="removed">{c.before === undefined ? '' : label(c.before)}</td>
                  <td className="added">{c.after === undefined ? '' : label(c.after)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  )
}
