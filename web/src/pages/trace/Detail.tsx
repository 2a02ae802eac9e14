import { useState, type ReactNode } from 'react'
import { useGet } from '@/api/hooks'
import { Empty, Facts, Id, Json, Loaded, StateChip, Tabs, Time, Took, type Tab } from '@/kit'
import { person } from '@/lib/format'
import { Link, useQueryParam } from '@/lib/router'
import { planOf } from '@/views/terraform/model'
import { PlanView } from '@/views/terraform/PlanView'
import { kindWord, taskOf, type Row } from './model'
import { RunLog } from './RunLog'
import { RetryButtons } from './Actions'
import { Decide } from './Decide'
import { WhyWaiting } from './Why'

/** Detail says all there is about the row that is selected. */
export function Detail({ row, at }: { row: Row; at: number }) {
  const task = taskOf(row)
  return (
    <section className="panel detail" aria-label={`About ${row.title}`}>
      <div className="pad">
        <div className="detailhead">
          <h2>{row.title}</h2>
          {row.state && (
            <StateChip state={row.state}>
              <span className="cap">{row.state}</span>
              {row.started && <Took from={row.started} to={row.ended} />}
            </StateChip>
          )}
          {(row.attempts ?? 0) > 1 && (
            <span className="dim">
              attempt {row.attempt} of {row.attempts}
            </span>
          )}
        </div>
        <Facts
          items={[
            ['Kind', kindWord(row)],
            ['Task', task && <code>{task.path}</code>],
            ['By', person(row.by)],
            ['Worker', row.worker],
            ['Started', row.started && <Time at={row.started} />],
            ['Sub-run', row.sub && <Id id={row.sub} to={`/runs/${row.sub}`} />],
            ['Workflow', row.workflow && <Link to={`/workflows/${row.workflow}`}>{row.workflow + (row.version ? ` v${row.version}` : '')}</Link>],
            ['Submitted again', row.of && <Id id={row.of} to={`/requests/${row.of}`} />],
            ['Commit', row.commit && <Id id={row.commit} />],
            ['Repository', row.repository],
            ['Undo', row.undo && <StateChip state={row.undo} />],
          ]}
        />
        {row.failure && (
          <p className="err">
            {row.failure} {row.hint && <span className="dim">{row.hint}</span>}
          </p>
        )}
        {row.run && row.state === 'waiting' && <WhyWaiting run={row.run} task={row.task ?? ''} reason={row.reason} />}
        {row.kind === 'approval' && row.state === 'waiting' && task && <Decide id={task.run} task={task.path} />}
        {task ? <TaskTabs key={row.id} row={row} run={task.run} path={task.path} attempt={task.attempt} at={at} /> : row.kind === 'commit' ? <CommitFiles row={row} /> : null}
      </div>
    </section>
  )
}

function TaskTabs({ row, run, path, attempt, at }: { row: Row; run: string; path: string; attempt: number; at: number }) {
  const [tab, setTab] = useQueryParam('part', 'log')
  const q = useGet('/v1/namespaces/{namespace}/runs/{id}/task', { path: { id: run }, query: { path, ...(at && { at }) } })
  const attempts = q.data?.attempts ?? []
  const tabs: Tab[] = [
    { id: 'log', label: 'Log' },
    { id: 'input', label: 'Input' },
    { id: 'output', label: 'Output' },
    ...(attempts.length > 1 ? [{ id: 'attempts', label: `Attempts ${attempts.length}` }] : []),
  ]
  const value = (v: unknown, label: string, none: string): ReactNode => (v === undefined || v === null ? <Empty title={none} /> : <Json value={v} label={label} />)
  return (
    <>
      {row.state === 'failed' && <RetryButtons run={run} task={path} {...(q.data?.input === undefined ? {} : { input: q.data.input })} />}
      <Tabs tabs={tabs} value={tab} onChange={setTab} label="Parts of the task">
        {tab === 'input' ? (
          <Loaded query={q} what="The task cannot be read">{(t) => value(t.input, 'Input', 'It has no input, or did not begin')}</Loaded>
        ) : tab === 'output' ? (
          <Loaded query={q} what="The task cannot be read">{(t) => {
            const plan = planOf(t.output)
            return (
              <>
                {plan && <PlanView plan={plan} />}
                {value(t.output ?? t.failure?.details, 'Output', 'There is no output')}
              </>
            )
          }}</Loaded>
        ) : tab === 'attempts' ? (
          <ul className="why">
            {attempts.map((a) => (
              <li key={a.number}>
                <StateChip state={a.state} /> attempt {a.number} <Took from={a.started} to={a.ended} /> <span className="dim">{a.worker}</span>{' '}
                {a.failure && <span className="err">{a.failure.message}</span>}
              </li>
            ))}
          </ul>
        ) : (
          <RunLog run={row.sub || run} task={row.sub ? '' : path} attempt={attempt} height="min(420px, 50vh)" />
        )}
      </Tabs>
    </>
  )
}

/** CommitFiles shows the files of a commit. */
export function CommitFiles({ row }: { row: Row }) {
  const log = useGet('/v1/namespaces/{namespace}/repositories/{repository}/commits', { path: { repository: row.repository ?? '' }, query: { limit: 200 } }, { enabled: !!row.repository })
  const [open, setOpen] = useState('')
  const commit = log.data?.items?.find((c) => c.commit === row.commit)
  const files = commit?.files ?? []
  const path = open || files[0] || ''
  const file = useGet(
    '/v1/namespaces/{namespace}/repositories/{repository}/commits/{commit}/file',
    { path: { repository: row.repository ?? '', commit: row.commit ?? '' }, query: { path } },
    { enabled: !!path && !!row.commit, retry: false },
  )
  if (!commit) return null
  return (
    <div className="stack">
      <p>{commit.message?.split('\n')[0]}</p>
      {files.map((f) => (
        <button key={f} type="button" className="button quiet" aria-pressed={f === path} onClick={() => setOpen(f)}>
          <code>{f}</code>
        </button>
      ))}
      {file.data && (
        <pre className="code pre" tabIndex={0} role="region" aria-label={path}>
          {file.data.text}
        </pre>
      )}
    </div>
  )
}
