import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { client } from '@/api/client'
import type { Run } from '@/api/types'
import { Button, Confirm } from '@/kit'
import { useEach } from '@/lib/each'
import { count } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { cancellable, pausable, resumable, retriable } from './choose'

/** Bulk is what can be done with the runs that were chosen, all at once. */
export function Bulk({ chosen, onDone }: { chosen: Run[]; onDone: () => void }) {
  const ns = useNamespace()
  const queries = useQueryClient()
  const [ask, setAsk] = useState(false)
  const { busy, each } = useEach<Run>('run', (r) => r.title || r.workflow)
  const act = async (verb: 'cancel' | 'pause' | 'resume' | 'retry', what: string, all: Run[], body: object = {}) => {
    const well = await each(what, all, (r, key) =>
      client.POST(`/v1/namespaces/{namespace}/runs/{id}/${verb}`, { params: { path: { namespace: ns, id: r.id }, header: { 'Idempotency-Key': key } }, body } as never),
    )
    setAsk(false)
    void queries.invalidateQueries({ queryKey: ['/v1/namespaces/{namespace}/runs'] })
    if (well) onDone()
  }
  const retry = retriable(chosen)
  const pause = pausable(chosen)
  const resume = resumable(chosen)
  const cancel = cancellable(chosen)
  return (
    <div className="filters" role="group" aria-label="Those that are chosen">
      <span>{count(chosen.length, 'run')} chosen</span>
      <Button perm="run.retry" busy={busy === 'tried again'} off={retry.length === 0 ? 'none of them failed or was cancelled' : undefined} onClick={() => void act('retry', 'tried again', retry)}>
        Retry {count(retry.length, 'run')}
      </Button>
      <Button perm="run.cancel" busy={busy === 'paused'} off={pause.length === 0 ? 'none of them goes on' : undefined} onClick={() => void act('pause', 'paused', pause)}>
        Pause {count(pause.length, 'run')}
      </Button>
      {resume.length > 0 && (
        <Button perm="run.cancel" busy={busy === 'resumed'} onClick={() => void act('resume', 'resumed', resume)}>
          Resume {count(resume.length, 'run')}
        </Button>
      )}
      <Button perm="run.cancel" kind="danger" off={cancel.length === 0 ? 'none of them goes on' : undefined} onClick={() => setAsk(true)}>
        Cancel {count(cancel.length, 'run')}…
      </Button>
      <Button kind="quiet" onClick={onDone}>
        Choose none
      </Button>
      {ask && (
        <Confirm title={`Cancel ${count(cancel.length, 'run')}`} verb={`Cancel ${count(cancel.length, 'run')}`} danger reason="optional" busy={busy !== ''} onClose={() => setAsk(false)} onConfirm={(reason) => void act('cancel', 'cancelled', cancel, { reason })}>
          <p>
            {cancel.map((r) => r.title || r.workflow).slice(0, 8).join(', ')}
            {cancel.length > 8 && ` and ${cancel.length - 8} more`}: what runs is stopped, and with it the runs they call. What was done stays, unless the workflow takes it back. They can be retried.
          </p>
        </Confirm>
      )}
    </div>
  )
}
