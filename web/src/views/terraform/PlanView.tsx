import { Tag } from '@/kit/Chip'
import { actionOf, headline, ordered, valueOf, type Attribute, type Change, type TerraformPlan } from './model'
import './terraform.css'

/** PlanView shows what a Terraform plan does: what is destroyed first, each resource open to the values that change. */
export function PlanView({ plan }: { plan: TerraformPlan }) {
  const drift = plan.drift ?? []
  const outputs = plan.outputs ?? []
  return (
    <div className="tf">
      <p>
        <b className="cap">{headline(plan)}</b>
        {plan.digest && (
          <span className="dim">
            {' '}
            · digest <code title={plan.digest}>{plan.digest.slice(0, 19)}</code>
          </span>
        )}
      </p>
      <Changes list={ordered(plan.changes)} label="What changes" />
      {plan.cut && <p className="dim">Not everything is listed: the plan is very large.</p>}
      {outputs.length > 0 && (
        <details>
          <summary>{outputs.length === 1 ? '1 output changes' : `${outputs.length} outputs change`}</summary>
          <Attributes list={outputs} label="Outputs" />
        </details>
      )}
      {drift.length > 0 && (
        <details>
          <summary>What changed in the world since the last apply: {drift.length}</summary>
          <Changes list={drift} label="What changed in the world" />
        </details>
      )}
      {(plan.policies ?? []).map((p) => (
        <p key={p.name} className={p.result === 'passed' ? 'dim' : 'err'}>
          Policy {p.name}: {p.result.replace('_', ' ')}. {p.doc}
        </p>
      ))}
      {plan.cost && (
        <p>
          Estimated cost a month: {plan.cost.before} → <b>{plan.cost.after}</b> <span className="dim">({plan.cost.delta})</span>
        </p>
      )}
    </div>
  )
}

function Changes({ list, label }: { list: Change[]; label: string }) {
  if (list.length === 0) return null
  return (
    <ul className="tfchanges" aria-label={label}>
      {list.map((c) => {
        const a = actionOf(c.action)
        return (
          <li key={c.address} data-action={a.word}>
            <details open={a.rank < 2}>
              <summary>
                <span className="tfsign" aria-hidden>
                  {a.sign}
                </span>
                <span className="tfword">{a.word}</span>
                <code>{c.address}</code>
                <Tag>{c.type}</Tag>
                {c.why && <span className="dim">{c.why}</span>}
              </summary>
              {(c.attributes ?? []).length > 0 ? <Attributes list={c.attributes ?? []} label={c.address} /> : <p className="dim">No single value is listed.</p>}
            </details>
          </li>
        )
      })}
    </ul>
  )
}

function Attributes({ list, label }: { list: Attribute[]; label: string }) {
  return (
    <div className="tfscroll" tabIndex={0} role="region" aria-label={`Values of ${label}`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Attribute</th>
            <th scope="col">Before</th>
            <th scope="col">After</th>
          </tr>
        </thead>
        <tbody>
          {list.map((a) => (
            <tr key={a.path}>
              <th scope="row">
                <code>{a.path}</code> {a.forces && <span className="err">forces replacement</span>}
              </th>
              <td className={a.before === undefined ? '' : 'removed'}>{valueOf(a, 'before')}</td>
              <td className={a.after === undefined ? 'dim' : 'added'}>{valueOf(a, 'after')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
