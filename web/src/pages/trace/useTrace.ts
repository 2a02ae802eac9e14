import { useQueries, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useMemo, useRef } from 'react'
import { fetchGet, keyOf } from '@/api/hooks'
import type { ApiError, Schemas } from '@/api/client'
import { milliseconds } from '@/lib/format'
import { useNamespace } from '@/lib/me'
import { useTopic } from '@/live/hooks'
import { inside, merge, planPath, type Row, type TraceView } from './model'

const path = '/v1/namespaces/{namespace}/traces/{trace}'

/** useTrace returns the trace of an ID (of a request, run or trace), kept up to date by the stream. */
export function useTrace(id: string) {
  const ns = useNamespace()
  const queries = useQueryClient()
  const key = ['trace', ns, id]
  const q = useQuery<TraceView, ApiError>({ queryKey: key, queryFn: ({ signal }) => fetchGet(ns, path, { path: { trace: id } }, signal), staleTime: Infinity, meta: { live: false } })
  const trace = q.data?.trace ?? ''
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  useTopic(
    trace && `trace:${trace}`,
    (batch) => {
      let lost = false
      queries.setQueryData<TraceView>(key, (old) => {
        let v = old
        for (const m of batch) {
          const d = m.data as TraceView | null
          if (m.type !== 'trace' || !d) lost = lost || m.type === 'gap'
          else if (v) v = merge(v, d)
        }
        return v
      })
      if (lost) void q.refetch()
      // What else is shown of its runs is read again with it, not more often than people can see.
      timer.current ??= setTimeout(() => {
        timer.current = undefined
        void queries.invalidateQueries({ predicate: (x) => /\/runs\/\{id\}(\/(task|graph|tasks|why))?$/.test(String(x.queryKey[0])) })
      }, 600)
    },
    q.data?.seq,
  )
  /** open reads what is inside a row that the server folded. */
  const open = async (row: string) => {
    const got = await fetchGet(ns, path, { path: { trace: id }, query: { under: row, limit: 5000 } })
    queries.setQueryData<TraceView>(key, (old) => old && inside(old, row, got.rows ?? []))
  }
  return { query: q, open }
}

/** useUsual returns how long the tasks of a trace usually take, in ms, by "workflow path". */
export function useUsual(rows: Row[]): (r: Row) => number {
  const ns = useNamespace()
  const workflowOf = useMemo(() => {
    const of = new Map<string, string>()
    for (const r of rows) {
      if (r.kind === 'run' && r.run && r.workflow) of.set(r.run, r.workflow)
      if (r.sub && r.use?.startsWith('workflow:')) of.set(r.sub, r.use.slice('workflow:'.length))
    }
    return of
  }, [rows])
  const names = useMemo(() => [...new Set(workflowOf.values())].sort().slice(0, 12), [workflowOf])
  const durations = '/v1/namespaces/{namespace}/workflows/{name}/durations' as const
  return useQueries({
    queries: names.map((name) => ({
      queryKey: keyOf(ns, durations, { path: { name } }),
      queryFn: () => fetchGet(ns, durations, { path: { name } }),
      staleTime: 60_000,
      retry: false,
    })),
    combine: (answers) => {
      const ms = new Map<string, number>()
      answers.forEach((a, i) => {
        for (const t of (a.data as Schemas['Durations'] | undefined)?.tasks ?? []) ms.set(`${names[i]} ${t.path}`, milliseconds(t.p50))
      })
      return (r: Row) => (r.run && r.task ? (ms.get(`${workflowOf.get(r.run)} ${planPath(r.task)}`) ?? 0) : 0)
    },
  })
}
