import { useState } from 'react'
import { useAction, useGet } from '@/api/hooks'
import { Button, Confirm, LinkButton } from '@/kit'
import { useMe } from '@/lib/me'
import { person } from '@/lib/format'
import { pages } from '@/pages'

const run = '/v1/namespaces/{namespace}/runs/{id}' as const
const approvals = '/v1/namespaces/{namespace}/approvals' as const

/** Decide approves or rejects what a task asks, in place. What has a form to fill in is decided on the page of approvals. */
export function Decide({ id, task }: { id: string; task: string }) {
  const me = useMe()
  const [no, setNo] = useState(false)
  const q = useGet(approvals, { query: { limit: 1000 } })
  const a = q.data?.items?.find((x) => x.run === id && x.task === task)
  const refresh = [approvals, run] as const
  const yes = useAction(`${run}/approve`, { done: 'Approved', refresh: [...refresh] })
  const reject = useAction(`${run}/reject`, { done: 'Rejected', refresh: [...refresh], onDone: () => setNo(false) })
  if (!a) return null
  const off = a.notBy?.includes(me.subject) ? 'who asked for it may not decide' : a.by?.includes(me.subject) ? 'you have decided already' : undefined
  const inbox = `/approvals?at=${encodeURIComponent(`${id}/${task}`)}`
  const digest = a.digest ? { digest: a.digest } : {}
  const left = (a.quorum ?? 1) - (a.by?.length ?? 0)
  return (
    <div className="stack">
      <p>
        {a.text} {left > 1 && <span className="dim">{left} approvals are missing.</span>}
        {(a.by?.length ?? 0) > 0 && <span className="dim"> Approved by {a.by?.map(person).join(', ')}.</span>}
      </p>
      <div className="filters">
        {a.form ? (
          <LinkButton to={inbox} kind="primary">
            Decide
          </LinkButton>
        ) : (
          <Button perm="approval.decide" kind="primary" off={off} busy={yes.isPending} onClick={() => yes.mutate({ path: { id }, body: { task, ...digest } })}>
            Approve
          </Button>
        )}
        <Button perm="approval.decide" kind="danger" off={off} onClick={() => setNo(true)}>
          Reject…
        </Button>
        {!a.form && pages.some((p) => p.path === '/approvals') && <LinkButton to={inbox}>Open in approvals</LinkButton>}
      </div>
      {no && (
        <Confirm title="Reject what is asked" verb="Reject" danger reason="required" busy={reject.isPending} onClose={() => setNo(false)} onConfirm={(reason) => reject.mutate({ path: { id }, body: { task, reason, ...digest } })}>
          <p>The task fails, with your reason; what the run does then is the workflow's to say.</p>
        </Confirm>
      )}
    </div>
  )
}
