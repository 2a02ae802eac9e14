import { useGet } from '@/api/hooks'
import { Button, Glyph } from '@/kit'
import { RetryButtons } from './Actions'
import { planPath, type Row } from './model'

/** Failed is the banner of a run that failed: where, why, the last lines it wrote, and what can be done. */
export function Failed({ rows, onShow }: { rows: Row[]; onShow: (id: string) => void }) {
  const row = rows.findLast((r) => r.state === 'failed' && (r.kind === 'task' || r.kind === 'item' || r.kind === 'approval') && !r.sub && r.run && r.task)
  const run = row?.run ?? ''
  const task = row?.task ?? ''
  const log = useGet('/v1/namespaces/{namespace}/runs/{id}/log', { path: { id: run }, query: { task, tail: 5 } }, { enabled: !!row })
  const detail = useGet('/v1/namespaces/{namespace}/runs/{id}/task', { path: { id: run }, query: { path: task } }, { enabled: !!row })
  if (!row) return null
  const lines = log.data?.lines ?? []
  return (
    <div className="banner failed" data-state="failed" role="status">
      <Glyph state="failed" />
      <div className="grow">
        <b>
          {row.title || planPath(task)} failed{(row.attempts ?? 0) > 1 && ` after ${row.attempts} attempts`}
        </b>
        <p>
          {row.failure} {row.hint && <span className="dim">{row.hint}</span>}
        </p>
        {lines.length > 0 && (
          <pre tabIndex={0} role="region" aria-label="The last lines it wrote">
            {lines.map((l) => l.text).join('\n')}
          </pre>
        )}
      </div>
      <div className="actions">
        <Button onClick={() => onShow(row.id)}>Show it</Button>
        <RetryButtons first run={run} task={task} {...(detail.data?.input === undefined ? {} : { input: detail.data.input })} />
      </div>
    </div>
  )
}
