import { useCallback, useEffect, useMemo, useReducer, useRef } from 'react'
import { fetchGet } from '@/api/hooks'
import type { LogLine } from '@/api/types'
import { useNamespace } from '@/lib/me'
import { useTopic } from '@/live/hooks'
import { Rows, type LogLine as Line, type Range } from '@/views/log/rows'
import type { Search } from '@/views/log/useFind'
import { rowOf } from './model'

const path = '/v1/namespaces/{namespace}/runs/{id}/log' as const
const find = '/v1/namespaces/{namespace}/runs/{id}/log/find' as const
const chunk = 5000

/** RunLog is the log of a run, or of one task with what is inside it, as views/log shows it. */
export interface RunLog {
  rows: Rows
  version: number
  load: (r: Range) => void
  search: Search
  /** More lines may come. */
  live: boolean
  /** The first answer is here. */
  known: boolean
  error: unknown
  retry: () => void
  /** The whole log as text. */
  whole: () => Promise<string>
}

interface State {
  /** Number of the last line of the run that was seen. */
  last: number
  over: boolean
  known: boolean
  error: unknown
}

/**
 * useRunLog reads a log and follows it. Of a whole run, line n is row n-1, so that any part can be read when it is looked
 * at; what the stream did not bring is merely not read yet. The lines of one task are read in order, from the first.
 */
export function useRunLog(run: string, task: string, attempt = 0): RunLog {
  const ns = useNamespace()
  const [, redraw] = useReducer((n: number) => n + 1, 0)
  const part = task !== '' || attempt > 0
  const own = useMemo(() => ({ rows: new Rows(part ? Infinity : 400), pos: [] as number[], state: { last: 0, over: false, known: false, error: null } as State, reading: false, again: false }), [ns, run, task, attempt])
  const latest = useRef(own)
  latest.current = own
  const mine = useCallback((l: LogLine) => (!task || l.task === task || l.task?.startsWith(task + '.') || l.task?.startsWith(task + '[')) && (!attempt || l.attempt === attempt), [task, attempt])
  const put = useCallback(
    (lines: LogLine[]) => {
      if (!part) for (const l of lines) own.rows.put((l.pos ?? 1) - 1, [l as Line])
      else {
        const fresh = lines.filter((l) => (l.pos ?? 0) > (own.pos.at(-1) ?? 0) && mine(l))
        own.rows.put(own.pos.length, fresh as Line[])
        own.pos.push(...fresh.map((l) => l.pos ?? 0))
      }
    },
    [own, part, mine],
  )
  const read = useCallback(async () => {
    if (own.reading) {
      own.again = true
      return
    }
    own.reading = true
    try {
      do {
        own.again = false
        const p = await fetchGet(ns, path, { path: { id: run }, query: part ? { after: own.state.last, limit: chunk, ...(task && { task }), ...(attempt && { attempt }) } : { tail: 500 } })
        put((p.lines ?? []) as LogLine[])
        own.state = { last: Math.max(own.state.last, p.last, p.lines?.at(-1)?.pos ?? 0, part ? 0 : p.total), over: !!p.ended && !p.more, known: true, error: null }
        if (!part) own.rows.grow(p.total)
        else own.again = own.again || !!p.more
        if (latest.current === own) redraw()
      } while (own.again && latest.current === own)
    } catch (error) {
      own.state = { ...own.state, error }
      redraw()
    } finally {
      own.reading = false
    }
  }, [own, ns, run, task, attempt, part, put])
  useEffect(() => {
    if (run) void read()
  }, [run, read])
  useTopic(run && own.state.known && !own.state.over ? `log:${run}` : '', (batch) => {
    const fresh = batch.filter((m) => m.type === 'log').map((m) => m.data as LogLine).filter((l) => (l.pos ?? 0) > own.state.last)
    if (batch.some((m) => m.type === 'gap') || (part && (fresh[0]?.pos ?? own.state.last + 1) > own.state.last + 1)) return void read() // lines are missing between
    put(fresh)
    own.state = { ...own.state, last: fresh.at(-1)?.pos ?? own.state.last, over: own.state.over || batch.some((m) => m.type === 'end') }
    redraw()
  }, own.state.last)
  const load = useCallback(
    (r: Range) => {
      if (part) return own.rows.answered(r)
      fetchGet(ns, path, { path: { id: run }, query: { after: r.from, limit: r.to - r.from } })
        .then((p) => put((p.lines ?? []) as LogLine[]))
        .catch(() => undefined) // it is asked for again when it is looked at again
        .finally(() => {
          own.rows.answered(r)
          redraw()
        })
    },
    [own, ns, run, part, put],
  )
  const search = useCallback<Search>(
    async (text, signal) => {
      const p = await fetchGet(ns, find, { path: { id: run }, query: { q: text, limit: 1000, ...(task && { task }), ...(attempt && { attempt }) } }, signal)
      return { rows: (p.matches ?? []).map((m) => (part ? rowOf(own.pos, m.pos) : m.pos - 1)), more: !!p.next }
    },
    [own, ns, run, task, attempt, part],
  )
  const whole = useCallback(async () => {
    let text = ''
    for (let after = 0; ; ) {
      const p = await fetchGet(ns, path, { path: { id: run }, query: { after, limit: chunk, ...(task && { task }), ...(attempt && { attempt }) } })
      for (const l of p.lines ?? []) text += `${l.at ?? ''} ${l.task ?? ''} ${l.text}\n`
      after = Math.max(p.last, p.lines?.at(-1)?.pos ?? 0)
      if (!p.more) return text
    }
  }, [ns, run, task, attempt])
  const { over, known, error } = own.state
  return { rows: own.rows, version: own.rows.version, load, search, live: !over, known, error, retry: () => void read(), whole }
}
