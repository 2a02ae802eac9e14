import { useState } from 'react'
import { useInfiniteQuery } from '@tanstack/react-query'
import { fetchGet } from '@/api/hooks'
import type { RunEvent } from '@/api/types'
import { Dialog, Empty, Json, Loaded, Panel, Table, Time, type Column } from '@/kit'
import { person } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { useTopic } from '@/live/hooks'

const path = '/v1/namespaces/{namespace}/runs/{id}/events' as const
const page = 1000

const columns: Column<RunEvent>[] = [
  { key: 'seq', title: '#', width: 64, num: true, wide: true, cell: (e) => e.seq, sort: (e) => e.seq },
  { key: 'at', title: 'When', width: 96, cell: (e) => <Time at={e.at} /> },
  { key: 'type', title: 'What', width: 140, cell: (e) => <code>{e.type}</code>, sort: (e) => e.type },
  { key: 'task', title: 'Task', cell: (e) => (e.task ? <code className="clip">{e.task + (e.attempt ? ` (attempt ${e.attempt})` : '')}</code> : ''), sort: (e) => e.task ?? '' },
  { key: 'by', title: 'By', width: 160, wide: true, cell: (e) => person(e.by) },
]

/** Events is what happened in a run, in order, as it happens. */
export function Events({ run }: { run: string }) {
  const ns = useNamespace()
  const [open, setOpen] = useState<RunEvent | null>(null)
  const q = useInfiniteQuery({
    queryKey: [path, ns, run],
    queryFn: ({ pageParam, signal }) => fetchGet(ns, path, { path: { id: run }, query: { after: pageParam, limit: page } }, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => ((last.items?.length ?? 0) >= page ? last.items!.at(-1)!.seq : undefined),
  })
  const rows = q.data?.pages.flatMap((p) => p.items ?? []) ?? []
  const last = rows.at(-1)?.seq ?? 0
  useTopic(q.data ? `run:${run}` : '', () => void q.refetch(), last)
  return (
    <Panel flush>
      <Loaded query={q} what="What happened cannot be read" rows={10}>
        {() => (
          <Table
            label="Events"
            twoLines
            columns={columns}
            rows={rows}
            rowKey={(e) => String(e.seq)}
            onSelect={setOpen}
            onEnd={() => {
              if (q.hasNextPage && !q.isFetchingNextPage) void q.fetchNextPage()
            }}
            empty={<Empty title="Nothing has happened yet" />}
          />
        )}
      </Loaded>
      {open && (
        <Dialog title={`Event ${open.seq}`} onClose={() => setOpen(null)} wide>
          <Json value={open} label="Event" />
        </Dialog>
      )}
    </Panel>
  )
}
