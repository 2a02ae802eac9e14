import { useEffect, useRef, useState } from 'react'
import { fetchGet } from '@/api/hooks'
import type { LogLine } from '@/api/types'
import { useNamespace } from '@/lib/me'
import { useTopic } from '@/live/hooks'

export interface Log {
  lines: LogLine[]
  /** All that was written until now is here. */
  whole: boolean
  /** No line follows: the run has ended. */
  over: boolean
  error: unknown
}

const chunk = 5000
const path = '/v1/namespaces/{namespace}/runs/{id}/log' as const

/** useLog reads the log of a run (or of one task with what is inside it) from its start, and follows it. What the stream did not bring is read again. */
export function useLog(run: string, task: string, attempt = 0): Log {
  const ns = useNamespace()
  const [log, setLog] = useState<Log>({ lines: [], whole: false, over: false, error: null })
  const lines = useRef<LogLine[]>([])
  const last = useRef(0)
  const busy = useRef(false)
  const again = useRef(false)
  const life = useRef(0)
  const read = async () => {
    if (busy.current) {
      again.current = true
      return
    }
    busy.current = true
    const mine = life.current
    try {
      for (;;) {
        again.current = false
        const p = await fetchGet(ns, path, { path: { id: run }, query: { after: last.current, limit: chunk, ...(task && { task }), ...(attempt && { attempt }) } })
        if (mine !== life.current) return
        const got = p.lines ?? []
        lines.current = got.length ? [...lines.current, ...got] : lines.current
        last.current = Math.max(last.current, p.last, got.at(-1)?.pos ?? 0)
        setLog({ lines: lines.current, whole: !p.more, over: !!p.ended, error: null })
        if (!p.more && !again.current) break
      }
    } catch (error) {
      if (mine === life.current) setLog((l) => ({ ...l, error }))
    } finally {
      if (mine === life.current) busy.current = false
    }
  }
  useEffect(() => {
    life.current++
    busy.current = false
    lines.current = []
    last.current = 0
    setLog({ lines: [], whole: false, over: false, error: null })
    if (run) void read()
    return () => void life.current++
  }, [ns, run, task, attempt])
  useTopic(run && log.whole && !log.over ? `log:${run}` : '', (batch) => {
    const fresh = batch.filter((m) => m.type === 'log').map((m) => m.data as LogLine)
    const first = fresh.find((l) => (l.pos ?? 0) > last.current)
    if (batch.some((m) => m.type === 'gap') || (first?.pos ?? 0) > last.current + 1) {
      void read() // lines are missing between: read from the last that is here
      return
    }
    const next = fresh.filter((l) => (l.pos ?? 0) > last.current)
    last.current = next.at(-1)?.pos ?? last.current
    const mine = next.filter((l) => (!task || l.task === task || l.task?.startsWith(task + '.') || l.task?.startsWith(task + '[')) && (!attempt || l.attempt === attempt))
    const over = batch.some((m) => m.type === 'end')
    if (mine.length === 0 && !over) return
    lines.current = mine.length ? [...lines.current, ...mine] : lines.current
    setLog((l) => ({ ...l, lines: lines.current, over: l.over || over }))
  }, last.current)
  return log
}
