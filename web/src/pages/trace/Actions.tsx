import { useState } from 'react'
import { useAction } from '@/api/hooks'
import { ended } from '@/api/types'
import { Button, Confirm, Dialog, ErrorBox } from '@/kit'
import { useKeys } from '@/lib/keys'
import { navigate } from '@/lib/router'
import type { Schemas } from '@/api/client'
import type { TraceView } from './model'

const runs = '/v1/namespaces/{namespace}/runs/{id}' as const
const ns = '/v1/namespaces/{namespace}' as const

/** Actions are what can be done with a request or run, at the top of its page. */
export function Actions({ view, run }: { view: TraceView; run: Schemas['Run'] | undefined }) {
  const [ask, setAsk] = useState<'cancel' | 'undo' | ''>('')
  const id = run?.id ?? view.run ?? ''
  const refresh = [runs, `${ns}/requests`] as const
  const pause = useAction(`${runs}/pause`, { done: 'Paused: nothing new starts', refresh: [...refresh] })
  const resume = useAction(`${runs}/resume`, { done: 'It goes on', refresh: [...refresh] })
  const cancel = useAction(`${runs}/cancel`, { done: 'Cancelled: no attempt starts any more', refresh: [...refresh], onDone: () => setAsk('') })
  const undo = useAction(`${runs}/undo`, { done: 'What was done is being undone', refresh: [...refresh], onDone: () => setAsk('') })
  const retry = useAction(`${runs}/retry`, { done: 'What failed is tried again', refresh: [...refresh] })
  const again = useAction(`${ns}/requests/{id}/resubmit`, { done: (r) => `Submitted again as ${r.id}`, refresh: [...refresh], onDone: (r) => navigate(`/requests/${r.id}`) })
  const state = run?.state ?? view.state
  const over = ended(state)
  const paused = run?.reason?.kind === 'paused'
  const none = id ? undefined : 'no run has begun yet'
  const open = (view.counts?.running ?? 0) + (view.counts?.waiting ?? 0)
  const pauseOrResume = () => (paused ? resume : pause).mutate({ path: { id }, body: {} })
  useKeys([{ keys: 'p', does: paused ? 'Resume' : 'Pause', run: () => !over && id && pauseOrResume(), group: 'Page' }])
  return (
    <>
      {!over && (
        <Button perm="run.cancel" off={none} busy={pause.isPending || resume.isPending} onClick={pauseOrResume}>
          {paused ? 'Resume' : 'Pause'} <kbd>p</kbd>
        </Button>
      )}
      {(state === 'failed' || state === 'cancelled') && (
        <Button perm="run.retry" off={none} busy={retry.isPending} onClick={() => retry.mutate({ path: { id }, body: {} })}>
          {state === 'failed' ? 'Retry failed' : 'Retry'}
        </Button>
      )}
      {over && view.request && (
        <Button perm="request.create" busy={again.isPending} onClick={() => again.mutate({ path: { id: view.request ?? '' }, body: {} })}>
          Submit again
        </Button>
      )}
      {over && state !== 'succeeded' && (
        <Button perm="run.undo" kind="danger" off={none ?? (run?.flags?.includes('undone') ? 'it was undone' : undefined)} onClick={() => setAsk('undo')}>
          Undo…
        </Button>
      )}
      {!over && (
        <Button perm="run.cancel" kind="danger" off={none} onClick={() => setAsk('cancel')}>
          Cancel…
        </Button>
      )}
      {ask === 'cancel' && (
        <Confirm title={`Cancel ${view.title || view.workflow}`} verb="Cancel the run" danger reason="optional" busy={cancel.isPending} onClose={() => setAsk('')} onConfirm={(reason) => cancel.mutate({ path: { id }, body: { reason } })}>
          <p>
            {open === 1 ? '1 task that runs or waits is stopped' : `${open} tasks that run or wait are stopped`}, {view.counts?.pending ?? 0} more do not start. What was done stays, unless the workflow takes it back. It can be retried.
          </p>
        </Confirm>
      )}
      {ask === 'undo' && (
        <Confirm title={`Undo ${view.title || view.workflow}`} verb="Undo what was done" danger reason="optional" busy={undo.isPending} onClose={() => setAsk('')} onConfirm={(reason) => undo.mutate({ path: { id }, body: { reason } })}>
          <p>What {view.counts?.succeeded ?? 0} tasks did is taken back, the newest first, as far as the workflow says how.</p>
        </Confirm>
      )}
    </>
  )
}

/** RetryButtons retry a task that failed: as it was, or with another input. */
export function RetryButtons({ run, task, input, first }: { run: string; task: string; input?: unknown; first?: boolean }) {
  const [edit, setEdit] = useState(false)
  const retry = useAction(`${runs}/retry`, { done: 'It is tried again from here', refresh: [runs] })
  return (
    <div className="filters">
      <Button perm="run.retry" kind={first ? 'primary' : 'plain'} busy={retry.isPending} onClick={() => retry.mutate({ path: { id: run }, body: { task } })}>
        Retry from here
      </Button>
      <Button perm="run.edit" off={input === undefined ? 'its input is not known' : undefined} onClick={() => setEdit(true)}>
        Retry with changes…
      </Button>
      {edit && <RetryWithChanges run={run} task={task} input={input} onClose={() => setEdit(false)} />}
    </div>
  )
}

function RetryWithChanges({ run, task, input, onClose }: { run: string; task: string; input: unknown; onClose: () => void }) {
  const [text, setText] = useState(() => JSON.stringify(input, null, 2))
  const retry = useAction(`${runs}/retry`, { done: 'It is tried again with the new input', refresh: [runs], onDone: onClose, quiet: true })
  let value: unknown
  let wrong = ''
  try {
    value = JSON.parse(text)
  } catch (e) {
    wrong = (e as Error).message
  }
  const go = () => !wrong && retry.mutate({ path: { id: run }, body: { task, input: value } })
  return (
    <Dialog
      wide
      title={`Retry ${task} with changes`}
      onClose={onClose}
      onSubmit={go}
      foot={
        <>
          <Button onClick={onClose}>Keep it as it is</Button>
          <Button type="submit" kind="primary" off={wrong ? 'the input is no JSON' : undefined} busy={retry.isPending}>
            Retry with this input
          </Button>
        </>
      }
    >
      <label className="field">
        <span>Input, as JSON. References to secrets stay references.</span>
        <textarea className="mono" rows={Math.min(24, text.split('\n').length + 2)} value={text} onChange={(e) => setText(e.target.value)} spellCheck={false} aria-invalid={!!wrong} autoFocus />
      </label>
      {wrong && <small className="err">{wrong}</small>}
      {retry.error && <ErrorBox error={retry.error} what="It was not retried" />}
    </Dialog>
  )
}
