import { useEffect, useState } from 'react'
import { ApiError, client, type Schemas } from '@/api/client'
import type { Problem } from '@/views/editor/problems'

/** What the server says about a text, a moment after the last change. */
export interface Checked {
  text: string // that it is about
  problems: Problem[]
  changes: Schemas['Change'][] // what publishing it would do
  error: ApiError | undefined // there is no answer
  busy: boolean
}

const first: Checked = { text: '', problems: [], changes: [], error: undefined, busy: true }

/** useCheck validates a definition as publishing would, and publishes nothing. */
export function useCheck(ns: string, name: string, text: string): Checked {
  const [state, setState] = useState<Checked>(first)
  useEffect(() => {
    const stop = new AbortController()
    setState((s) => (s.text === text ? s : { ...s, busy: true }))
    const timer = setTimeout(async () => {
      try {
        const { data } = await client.POST('/v1/namespaces/{namespace}/definitions/validate', {
          params: { path: { namespace: ns } },
          body: { files: [{ name, text }] },
          signal: stop.signal,
        })
        setState({ text, problems: [], changes: (data as Schemas['ApplyOut']).changes ?? [], error: undefined, busy: false })
      } catch (e) {
        if (stop.signal.aborted) return
        const error = e instanceof ApiError ? e : new ApiError(0, { detail: String(e) })
        const told = error.kind === 'invalid'
        const problems = told ? (error.problems.length > 0 ? error.problems : [{ message: error.message, hint: error.hint }]) : []
        setState({ text, problems, changes: [], error: told ? undefined : error, busy: false })
      }
    }, 400)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [ns, name, text])
  return state
}
