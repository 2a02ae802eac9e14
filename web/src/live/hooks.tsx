import { useQueryClient } from '@tanstack/react-query'
import { createContext, useContext, useEffect, useRef, useState, type ReactNode } from 'react'
import { LiveStream, type Follower } from './stream'
import { useNamespace } from '@/lib/me'

const StreamContext = createContext<LiveStream | null>(null)

/** Live gives what is below it the stream of the chosen namespace. */
export function Live({ children }: { children: ReactNode }) {
  const ns = useNamespace()
  const [stream, setStream] = useState<LiveStream | null>(null)
  useEffect(() => {
    const s = new LiveStream(ns)
    setStream(s)
    return () => s.close()
  }, [ns])
  return (
    <StreamContext value={stream}>
      <Refresh />
      {children}
    </StreamContext>
  )
}

/**
 * useTopic calls f with what happens in a topic, in batches of one frame: "events", "run:ID", "log:ID".
 * from is the number (seq) of the snapshot that is shown; what came after it is told. An empty topic
 * follows nothing.
 */
export function useTopic(topic: string, f: Follower, from?: number): void {
  const stream = useContext(StreamContext)
  const latest = useRef(f)
  useEffect(() => {
    latest.current = f
  })
  const start = useRef(from)
  start.current ??= from
  useEffect(() => {
    if (!stream || !topic) return
    return stream.follow(topic, (batch) => latest.current(batch), start.current)
  }, [stream, topic])
}

// What is read again when a service says that something happened: the first part of the event's type
// after "tutti.", and the paths whose answers it may change.
const stale: Record<string, string[]> = {
  request: ['/requests'],
  workflow: ['/runs', '/approvals', '/requests', '/traces'],
  definition: ['/definitions', '/catalogue', '/task-types'],
  resource: ['/resources', '/repositories'],
  file: ['/files'],
  rollouts: ['/rollouts'],
  notify: ['/messages'],
}

const quiet = 400 // ms between two readings of the same

/** Refresh reads queries again after events that may have changed their answers, at most every 400 ms. */
function Refresh() {
  const queries = useQueryClient()
  const due = useRef(new Set<string>())
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useTopic('events', (batch) => {
    for (const m of batch) {
      const type = String((m.data as { type?: string }).type ?? '').replace(/^tutti\./, '')
      for (const p of stale[type.split('.')[0] ?? ''] ?? []) due.current.add(p)
    }
    timer.current ??= setTimeout(() => {
      timer.current = undefined
      const parts = [...due.current]
      due.current.clear()
      void queries.invalidateQueries({
        predicate: (q) => {
          const path = String(q.queryKey[0] ?? '')
          return q.meta?.live !== false && parts.some((p) => path.includes('{namespace}' + p))
        },
      })
    }, quiet)
  })
  useEffect(() => () => clearTimeout(timer.current), [])
  return null
}
