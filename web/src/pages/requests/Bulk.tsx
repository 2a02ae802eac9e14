import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { ApiError, client } from '@/api/client'
import { ended, type TaskRequest } from '@/api/types'
import { Button, Confirm } from '@/kit'
import { toast } from '@/kit/Toast'
import { count } from '@/lib/format'
import { useNamespace } from '@/lib/me'

/** retriable are those of requests whose runs can be tried again, cancellable those that go on. */
export const retriable = (all: TaskRequest[]): TaskRequest[] => all.filter((r) => r.run && (r.state === 'failed' || r.state === 'cancelled'))
export const cancellable = (all: TaskRequest[]): TaskRequest[] => all.filter((r) => !ended(r.state))

/** Bulk is what can be done with the requests that were chosen, all at once. */
export function Bulk({ chosen, onDone }: { chosen: TaskRequest[]; onDone: () => void }) {
  const ns = useNamespace()
  const queries = useQueryClient()
  const [busy, setBusy] = useState(false)
  const [ask, setAsk] = useState(false)
  const retry = retriable(chosen)
  const cancel = cancellable(chosen)
  const each = async (all: TaskRequest[], what: string, one: (r: TaskRequest, key: string) => Promise<unknown>) => {
    setBusy(true)
    const failed: string[] = []
    // A few at a time: the server is not ours alone.
    const todo = [...all]
    const work = async () => {
      for (let r = todo.shift(); r; r = todo.shift()) {
        try {
          await one(r, crypto.randomUUID())
        } catch (e) {
          failed.push(`${r.name}: ${e instanceof ApiError ? e.message : String(e)}`)
        }
      }
    }
    await Promise.all([work(), work(), work(), work()])
    setBusy(false)
    setAsk(false)
    void queries.invalidateQueries({ queryKey: ['/v1/namespaces/{namespace}/requests'] })
    if (failed.length > 0) toast(`${failed.length} of ${all.length} were not ${what}: ${failed[0]}`, 'failed')
    else {
      toast(`${count(all.length, 'request')} ${what}`)
      onDone()
    }
  }
  const header = (key: string) => ({ 'Idempotency-Key': key })
  return (
    <div className="filters" role="group" aria-label="Those that are chosen">
      <span>{count(chosen.length, 'request')} chosen</span>
      <Button perm="run.retry" busy={busy} off={retry.length === 0 ? 'none of them failed or was cancelled' : undefined} onClick={() => void each(retry, 'tried again', (r, key) => client.POST('/v1/namespaces/{namespace}/runs/{id}/retry', { params: { path: { namespace: ns, id: r.run! }, header: header(key) }, body: {} } as never))}>
        Retry {count(retry.length, 'request')}
      </Button>
      <Button perm="request.cancel" kind="danger" off={cancel.length === 0 ? 'none of them goes on' : undefined} onClick={() => setAsk(true)}>
        Cancel {count(cancel.length, 'request')}…
      </Button>
      <Button kind="quiet" onClick={onDone}>
        Choose none
      </Button>
      {ask && (
        <Confirm
          title={`Cancel ${count(cancel.length, 'request')}`}
          verb={`Cancel ${count(cancel.length, 'request')}`}
          danger
          reason="optional"
          busy={busy}
          onClose={() => setAsk(false)}
          onConfirm={(reason) => void each(cancel, 'cancelled', (r) => client.POST('/v1/namespaces/{namespace}/requests/{id}/cancel', { params: { path: { namespace: ns, id: r.id } }, body: { reason } } as never))}
        >
          <p>{cancel.map((r) => r.title || r.name).slice(0, 8).join(', ')}{cancel.length > 8 && ` and ${cancel.length - 8} more`}: what runs is stopped, what was done stays unless the workflow takes it back.</p>
        </Confirm>
      )}
    </div>
  )
}
