import { useEffect, useState } from 'react'
import { ApiError, client, type Schemas } from '@/api/client'
import type { Problem } from '@/views/editor/problems'

/** What the server says about what is filled in, a moment after the last change. */
export interface Planned {
  plan: Schemas['RequestPlan'] | undefined
  problems: Problem[]
  /** What failed that is about no field: not allowed, no connection. */
  error: ApiError | undefined
  busy: boolean
}

const nothing: Planned = { plan: undefined, problems: [], error: undefined, busy: true }

/** usePlan asks the server what a request would do. The server is the only judge of what is valid. */
export function usePlan(ns: string, entry: string, params: Record<string, unknown>, on: boolean): Planned {
  const [state, setState] = useState<Planned>(nothing)
  const body = JSON.stringify({ entry, params })
  useEffect(() => {
    if (!on) return
    const stop = new AbortController()
    setState((s) => ({ ...s, busy: true }))
    const timer = setTimeout(async () => {
      try {
        const { data } = await client.POST('/v1/namespaces/{namespace}/requests/plan', { params: { path: { namespace: ns } }, body: JSON.parse(body), signal: stop.signal })
        setState({ plan: data as Schemas['RequestPlan'], problems: [], error: undefined, busy: false })
      } catch (e) {
        if (stop.signal.aborted) return
        const error = e instanceof ApiError ? e : new ApiError(0, { detail: String(e) })
        const fields = error.kind === 'invalid' && error.problems.length > 0
        setState({ plan: undefined, problems: fields ? error.problems : [], error: fields ? undefined : error, busy: false })
      }
    }, 350)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [ns, body, on])
  return state
}
