import { Id, Json, StateChip } from '@/kit'
import type { Schemas } from '@/api/client'

interface TerraformPlan {
  summary: { add: number; change: number; destroy: number; drifted?: number }
  changes: { address: string; action: string; attributes?: { path: string; before?: unknown; after?: unknown; unknown?: boolean; sensitive?: boolean }[] }[]
}
interface AnsibleCheck {
  summary: { hosts: number; changed: number; failed: number; unreachable: number }
  changes: { host: string; task: string; diff?: string }[]
}

/** Trial is what a trial run says: a Terraform plan and an Ansible check for what they are, anything else as JSON. */
export function Trial({ trial: t }: { trial: Schemas['Preview'] }) {
  const out = (t.outputs ?? {}) as { plan?: TerraformPlan | null; check?: AnsibleCheck | null }
  const known = out.plan?.summary || out.check?.summary
  return (
    <div className="stack wide">
      <p>
        {t.state && <StateChip state={t.state} />} {t.run && <Id id={t.run} to={`/runs/${t.run}`} />} {t.failure}
      </p>
      {out.plan?.summary && <Plan plan={out.plan} />}
      {out.check?.summary && <Check check={out.check} />}
      {!known && t.outputs !== undefined && <Json value={t.outputs} label="What the trial run gave" />}
    </div>
  )
}

function Plan({ plan: p }: { plan: TerraformPlan }) {
  return (
    <section className="stack wide" aria-label="Terraform plan">
      <h4>
        Terraform: {p.summary.add} to add, {p.summary.change} to change, {p.summary.destroy} to destroy
      </h4>
      {(p.changes ?? []).map((c) => (
        <details key={c.address} open={p.changes.length < 6}>
          <summary>
            {c.action} <code>{c.address}</code>
          </summary>
          <table className="values">
            <tbody>
              {(c.attributes ?? []).map((a) => (
                <tr key={a.path}>
                  <th scope="row">{a.path}</th>
                  <td>{value(a)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </details>
      ))}
    </section>
  )
}

function value(a: { before?: unknown; after?: unknown; unknown?: boolean; sensitive?: boolean }): string {
  if (a.sensitive) return '(sensitive)'
  const after = a.unknown ? '(known after it is applied)' : a.after === undefined ? 'none' : JSON.stringify(a.after)
  return a.before === undefined ? after : `${JSON.stringify(a.before)} → ${after}`
}

function Check({ check: c }: { check: AnsibleCheck }) {
  return (
    <section className="stack wide" aria-label="Ansible check">
      <h4>
        Ansible: {c.summary.changed} of {c.summary.hosts} hosts would change{c.summary.unreachable > 0 && `, ${c.summary.unreachable} unreachable`}
        {c.summary.failed > 0 && `, ${c.summary.failed} failed`}
      </h4>
      {(c.changes ?? []).map((x, i) => (
        <details key={i}>
          <summary>
            {x.host}: {x.task}
          </summary>
          {x.diff && <pre>{x.diff}</pre>}
        </details>
      ))}
    </section>
  )
}
