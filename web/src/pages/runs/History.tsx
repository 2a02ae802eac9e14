import { useMemo } from 'react'
import type { Schemas } from '@/api/client'
import { useGet } from '@/api/hooks'
import { Empty, Loaded, Panel } from '@/kit'
import { useNow } from '@/lib/clock'
import { navigate, useQueryParam } from '@/lib/router'
import { GridView } from '@/views/grid/GridView'
import { gridOf } from './history'

/** History is the last 50 runs of a workflow by their tasks. */
export default function History({ workflow }: { workflow: string }) {
  const history = useGet('/v1/namespaces/{namespace}/workflows/{name}/history', { path: { name: workflow }, query: { limit: 50 } }, { refetchInterval: (q) => ((q.state.data?.runs ?? []).some((r) => !r.ended) ? 2000 : false) })
  return (
    <Panel flush className="history">
      <Loaded query={history} what="The history cannot be read" rows={12}>
        {(h) =>
          (h.runs ?? []).length === 0 ? (
            <Empty title={`${workflow} has not run yet`} cli={`tutti run start ${workflow}`}>
              Each run becomes a column here, each task a row.
            </Empty>
          ) : (
            <Grid history={h} />
          )
        }
      </Loaded>
    </Panel>
  )
}

function Grid({ history: h }: { history: Schemas['HistoryGrid'] }) {
  const [table, setTable] = useQueryParam('as')
  const now = useNow((h.runs ?? []).some((r) => !r.ended))
  const data = useMemo(() => gridOf(h), [h])
  return (
    <GridView
      data={data}
      now={now}
      label={`History of ${h.workflow}: ${data.runs.length} runs, ${data.tasks.length} tasks`}
      table={table === 'table'}
      onTable={(on) => setTable(on ? 'table' : '')}
      onOpen={(p) => {
        const run = data.runs[p.run]
        const task = data.tasks[p.task]
        if (run) navigate(`/runs/${run.id}${task ? `?at=${encodeURIComponent(`${run.id}/${task.path}`)}` : ''}`)
      }}
    />
  )
}
