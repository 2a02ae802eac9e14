import { useState } from 'react'
import { useAction } from '@/api/hooks'
import type { Approval } from '@/api/types'
import { Button, ErrorBox, Facts, Id, LinkButton, Panel, StateChip, Time, Values } from '@/kit'
import { person } from '@/lib/format'
import { useMe } from '@/lib/me'
import { filled, start, type Value } from '@/views/form/model'
import { SchemaForm } from '@/views/form/SchemaForm'
import type { Schema } from '@/views/schema'
import { planOf } from '@/views/terraform/model'
import { PlanView } from '@/views/terraform/PlanView'
import { refusal, who } from './decide'
import { TimeLeft } from './Approvals'

const refresh = ['/v1/namespaces/{namespace}/approvals', '/v1/namespaces/{namespace}/runs'] as const

/** About is what an approval is about: a Terraform plan as a plan, all else as its values. */
function About({ value }: { value: unknown }) {
  const { plan, ...rest } = value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
  const terraform = planOf(plan)
  if (!terraform) return <Values value={value} label="What it is about" />
  return (
    <>
      <PlanView plan={terraform} />
      {Object.keys(rest).length > 0 && <Values value={rest} label="What it is about" />}
    </>
  )
}

/** Decision shows what is asked, and takes the answer. */
export function Decision({ approval: a, onBack }: { approval: Approval; onBack: () => void }) {
  const me = useMe()
  const schema = a.form as Schema | undefined
  const [form, setForm] = useState<Value>(() => (schema ? start(schema, undefined) : undefined))
  const [reason, setReason] = useState('')
  const approve = useAction('/v1/namespaces/{namespace}/runs/{id}/approve', { done: 'Approved', quiet: true, refresh: [...refresh] })
  const reject = useAction('/v1/namespaces/{namespace}/runs/{id}/reject', { done: 'Rejected', quiet: true, refresh: [...refresh] })
  const off = refusal(a, me)
  const busy = approve.isPending || reject.isPending
  const error = approve.error ?? reject.error
  const problems = error?.kind === 'invalid' ? error.problems : []
  const body = (extra: object) => ({ path: { id: a.run }, body: { task: a.task, ...(reason.trim() && { reason: reason.trim() }), ...(a.digest && { digest: a.digest }), ...extra } })
  const quorum = a.quorum > 1
  return (
    <Panel
      className="decision"
      title={
        <span className="head grow">
          <button type="button" className="button quiet icon onlynarrow" aria-label="Back to the list" onClick={onBack}>
            ←
          </button>
          <h2>{a.text || a.task}</h2>
          <StateChip state="waiting">{quorum ? `${a.by?.length ?? 0} of ${a.quorum} approved` : 'Waiting for a decision'}</StateChip>
        </span>
      }
    >
      <Facts
        items={[
          ['Asked by', person(a.requester)],
          ['Asked', <Time key="t" at={a.asked} />],
          ['Time left', <TimeLeft key="l" at={a.expires} />],
          ['Who may decide', (a.to ?? []).length > 0 ? a.to!.map(who).join(', ') : 'every approver'],
          ['Not', (a.notBy ?? []).map(who).join(', ')],
          ['Approved by', (a.by ?? []).map(person).join(', ')],
          ['Workflow', a.workflow],
          ['Task', <code key="k">{a.task}</code>],
          ['Run', <Id key="r" id={a.run} to={`/runs/${a.run}`} />],
          ['Trace', <Id key="tr" id={a.trace} />],
          ['Digest', a.digest && <code key="d">{a.digest}</code>],
        ]}
      />
      {a.show !== undefined && a.show !== null && (
        <section className="stack wide" aria-label="What it is about">
          <h3>What it is about</h3>
          <About value={a.show} />
        </section>
      )}
      {schema && !off && (
        <section className="stack wide" aria-label="To fill in">
          <h3>To fill in when approving</h3>
          <SchemaForm schema={schema} value={form} onChange={setForm} problems={problems} disabled={busy} />
        </section>
      )}
      {error && problems.length === 0 && <ErrorBox error={error} what="The decision was not taken" />}
      {a.digest && <p className="dim">The decision counts for exactly what is shown: if the digest has changed meanwhile, it is refused.</p>}
      <div className="decidebar">
        <div className="field">
          <label htmlFor="reason">
            Reason <small className="dim">(required to reject)</small>
          </label>
          <input id="reason" value={reason} maxLength={1000} disabled={!!off} onChange={(e) => setReason(e.target.value)} />
        </div>
        <div className="head decide">
          <LinkButton to={`/runs/${a.run}`}>See the run</LinkButton>
          {off && <span className="dim">You cannot decide: {off}.</span>}
          <span className="actions">
            <Button kind="danger" off={off || (reason.trim() ? '' : 'give a reason first')} busy={reject.isPending} onClick={() => !busy && reject.mutate(body({}))}>
              Reject
            </Button>
            <Button kind="primary" off={off} busy={approve.isPending} onClick={() => !busy && approve.mutate(body(schema ? { form: filled(form) } : {}))}>
              Approve{quorum ? ` (${(a.by?.length ?? 0) + 1} of ${a.quorum})` : ''}
            </Button>
          </span>
        </div>
      </div>
    </Panel>
  )
}
