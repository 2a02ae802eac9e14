import type { Schemas } from '@/api/client'
import { Id, Json, StateChip } from '@/kit'
import { planOf } from './terraform/model'
import { PlanView } from './terraform/PlanView'

interface AnsibleCheck {
  summary: { hosts: number; changed: number; failed: number; unreachable: number }
  changes: { host: string; task: string; diff?: string }[]
}

/** Trial is what a trial run says: a Terraform plan and an Ansible check for what they are, anything else as JSON. */
export function Trial({ trial: t }: { trial: Schemas['Preview'] }) {
  const out = (t.outputs ?? {}) as { plan?: unknown; check?: AnsibleCheck | null }
  const plan = planOf(out.plan)
  const known = plan || out.check?.summary
  return (
    <div className="stack wide">
      <p>
        {t.state && <StateChip state={t.state} />} {t.run && <Id id={t.run} to={`/runs/${t.run}`} />} {t.failure}
      </p>
      {plan && <PlanView plan={plan} />}
      {out.check?.summary && <Check check={out.check} />}
      {!known && t.outputs !== undefined && <Json value={t.outputs} label="What the trial run gave" />}
    </div>
  )
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
