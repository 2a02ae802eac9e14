import { useMemo } from 'react'
import { useGet } from '@/api/hooks'
import type { Run } from '@/api/types'
import { Button, Empty, Loaded, Panel, Table, type Column } from '@/kit'
import { copy } from '@/lib/copy'
import { setQuery, useQueryParam } from '@/lib/router'
import { variables, type Variable } from './variables'

const text = (v: unknown) => (typeof v === 'string' ? v : JSON.stringify(v))

/** Variables are all values of a run: where each came from, and who reads it. */
export function Variables({ run, at }: { run: Run; at: number }) {
  const [filter, setFilter] = useQueryParam('filter')
  const tasks = useGet('/v1/namespaces/{namespace}/runs/{id}/tasks', { path: { id: run.id }, query: { limit: 1000, ...(at && { at }) } })
  const definition = useGet('/v1/namespaces/{namespace}/definitions/{kind}/{name}', { path: { kind: 'Workflow', name: run.workflow }, query: { ...(run.version && { version: run.version }) } }, { enabled: !!run.version, retry: false })
  const all = useMemo(() => variables(run, tasks.data?.items ?? [], definition.data?.document), [run, tasks.data, definition.data])
  const rows = all.filter((v) => !filter || `${v.name} ${text(v.value)} ${v.from}`.toLowerCase().includes(filter.toLowerCase()))
  const columns: Column<Variable>[] = [
    { key: 'name', title: 'Name', width: '28%', cell: (v) => <code title={v.name}>{v.name}</code>, sort: (v) => v.name },
    { key: 'value', title: 'Value', cell: (v) => (v.secret ? <span className="dim">•••••• only its name is known</span> : <code title={text(v.value)}>{text(v.value)}</code>) },
    { key: 'from', title: 'From', width: '20%', wide: true, cell: (v) => v.from, sort: (v) => v.from },
    { key: 'readers', title: 'Read by', width: '20%', wide: true, cell: (v) => <span title={v.readers.join(', ')}>{v.readers.length ? v.readers.join(', ') : <span className="dim">nobody</span>}</span> },
  ]
  return (
    <Panel
      flush
      title={<input type="search" aria-label="Filter variables" placeholder="Filter" value={filter} onChange={(e) => setFilter(e.target.value)} style={{ maxWidth: 260 }} />}
      actions={<Button onClick={() => void copy(JSON.stringify(Object.fromEntries(rows.filter((v) => !v.secret).map((v) => [v.name, v.value])), null, 2), 'Copied as JSON')}>Copy JSON</Button>}
    >
      <Loaded query={tasks} what="The values cannot be read">
        {() => (
          <Table
            label="Variables"
            columns={columns}
            rows={rows}
            rowKey={(v) => v.name}
            empty={<Empty title={filter ? 'No variable matches' : 'There are no values yet'} action={filter ? <Button onClick={() => setQuery({ filter: '' })}>Remove the filter</Button> : undefined} />}
          />
        )}
      </Loaded>
    </Panel>
  )
}
