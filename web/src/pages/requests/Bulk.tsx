import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { client } from '@/api/client'
import { ended, type TaskRequest } from '@/api/types'
import { Button, Confirm } from '@/kit'
import { useEach } from '@/lib/each'
import { count } from '@/lib/format'
import { useNamespace } from '@/lib/me'

/** retriable are those of requests whose runs can be tried again, cancellable those that go on. */
export const retriable = (all: TaskRequest[]): TaskRequest[] => all.filter((r) => r.run && (r.state === 'failed' || r.state === 'cancelled'))
export const cancellable = (all: TaskRequest[]): TaskRequest[] => all.filter((r) => !ended(r.state))

/** Bulk is what can be done with the requests that were chosen, all at once. */
export function Bulk({ chosen, onDone }: { chosen: TaskRequest[]; onDone: () => void }) {
  const ns = useNamespace()
  const queries = useQueryClient()
  const [ask, setAsk] = useState(false)
  const { busy, each } = useEach<TaskRequest>('request', (r) => r.name)
  const retry = retriable(chosen)
  const cancel = cancellable(chosen)
  const act = async (what: string, all: TaskRequest[], one: (r: TaskRequest, key: string) => Promise<unknown>) => {
    const well = await each(what, all, one)
    setAsk(false)
    void queries.invalidateQueries({ queryKey: ['/v1/namespaces/{namespace}/requests'] })
    if (well) onDone()
  }
  const header = (key: string) => ({ 'Idempotency-Key': key })
  return (
    <div className="filters" role="group" aria-label="Those that are chosen">
      <span>{count(chosen.length, 'request')} chosen</span>
      <Button perm="run.retry" busy={busy === 'tried again'} off={retry.length === 0 ? 'none of them failed or was cancelled' : undefined} onClick={() => void act('tried again', retry, (r, key) => client.POST('/v1/namespaces/{namespace}/runs/{id}/retry', { params: { path: { namespace: ns, id: r.run! }, header: header(key) }, body: {} } as never))}>
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
          busy={busy !== ''}
          onClose={() => setAsk(false)}
          onConfirm={(reason) => void act('cancelled', cancel, (r) => client.POST('/v1/namespaces/{namespace}/requests/{id}/cancel', { params: { path: { namespace: ns, id: r.id } }, body: { reason } } as never))}
        >
          <p>{cancel.map((r) => r.title || r.name).slice(0, 8).join(', ')}{cancel.length > 8 && ` and ${cancel.length - 8} more`}: what runs is stopped, what was done stays unless the workflow takes it back.</p>
        </Confirm>
      )}
    </div>
  )
}
