import { useQueries } from '@tanstack/react-query'
import { useMemo } from 'react'
import { fetchGet, keyOf, useGet } from '@/api/hooks'
import type { Run, Task } from '@/api/types'
import { Empty, Loaded, Panel } from '@/kit'
import { useNow } from '@/lib/clock'
import { useNamespace } from '@/lib/me'
import { navigate, useQueryParam } from '@/lib/router'
import { GridView } from '@/views/grid/GridView'
import { gridOf } from './history'

const runs = '/v1/namespaces/{namespace}/runs'
const tasks = '/v1/namespaces/{namespace}/runs/{id}/tasks'

/** History is the last 50 runs of a workflow by their tasks. */
export default function History({ workflow }: { workflow: string }) {
  const list = useGet(runs, { query: { workflow, limit: 50 } })
  return (
    <Panel flush className="history">
      <Loaded query={list} what="The history cannot be read" rows={12}>
        {({ items }) =>
          (items ?? []).length === 0 ? (
            <Empty title={`${workflow} has not run yet`} cli={`tutti run start ${workflow}`}>
              Each run becomes a column here, each task a row.
            </Empty>
          ) : (
            <Grid workflow={workflow} runs={(items as Run[]).toReversed()} />
          )
        }
      </Loaded>
    </Panel>
  )
}

function Grid({ workflow, runs: all }: { workflow: string; runs: Run[] }) {
  const ns = useNamespace()
  const [table, setTable] = useQueryParam('as')
  const running = all.some((r) => !r.ended)
  const now = useNow(running)
  // What has ended does not change: it is read once.
  const answers = useQueries({
    queries: all.map((r) => {
      const init = { path: { id: r.id }, query: { limit: 1000 } }
      return { queryKey: [...keyOf(ns, tasks, init), r.seq], queryFn: ({ signal }: { signal: AbortSignal }) => fetchGet(ns, tasks, init, signal), staleTime: r.ended ? Infinity : 5000, meta: { live: !r.ended } }
    }),
    combine: (rs) => rs.map((r) => (r.data?.items ?? []) as Task[]),
  })
  const data = useMemo(() => gridOf(all, answers), [all, answers])
  return (
    <GridView
      data={data}
      now={now}
      label={`History of ${workflow}: ${all.length} runs, ${data.tasks.length} tasks`}
      table={table === 'table'}
      onTable={(on) => setTable(on ? 'table' : '')}
      onOpen={(p) => {
        const run = all[p.run]
        const task = data.tasks[p.task]
        if (run) navigate(`/runs/${run.id}${task ? `?task=${encodeURIComponent(task.path)}` : ''}`)
      }}
    />
  )
}
