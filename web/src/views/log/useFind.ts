import { useCallback, useEffect, useRef, useState } from 'react'

/** What the server found: rows, in order. */
export interface Found {
  rows: number[]
  more: boolean // there are more than it lists
}

export type Search = (text: string, signal: AbortSignal) => Promise<Found>

export interface Find {
  text: string
  set: (text: string) => void
  found: Found | undefined // undefined while nothing is looked for, or not yet answered
  at: number | undefined // index of the match that is shown
  busy: boolean
  failed: string | undefined
  go: (step: 1 | -1) => void
}

/** nearest returns the index of the first match at or after a row, else the first one. */
export function nearest(rows: readonly number[], row: number): number {
  const i = rows.findIndex((r) => r >= row)
  return i < 0 ? 0 : i
}

/** useFind looks for a text on the server, a moment after the last letter, and walks the matches. */
export function useFind(search: Search, start: string, top: () => number, show: (row: number) => void): Find {
  const [text, setText] = useState(start)
  const [found, setFound] = useState<Found>()
  const [at, setAt] = useState<number>()
  const [busy, setBusy] = useState(false)
  const [failed, setFailed] = useState<string>()
  const latest = useRef({ search, top, show })
  useEffect(() => {
    latest.current = { search, top, show }
  })
  useEffect(() => {
    setFound(undefined)
    setAt(undefined)
    setFailed(undefined)
    setBusy(text !== '')
    if (text === '') return
    const stop = new AbortController()
    const timer = setTimeout(() => {
      latest.current.search(text, stop.signal).then(
        (f) => {
          if (stop.signal.aborted) return
          setBusy(false)
          setFound(f)
          if (f.rows.length === 0) return
          const i = nearest(f.rows, latest.current.top())
          setAt(i)
          latest.current.show(f.rows[i]!)
        },
        (e: unknown) => {
          if (stop.signal.aborted) return
          setBusy(false)
          setFailed(e instanceof Error ? e.message : String(e))
        },
      )
    }, 250)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [text])
  const go = useCallback(
    (step: 1 | -1) => {
      if (!found || found.rows.length === 0) return
      const i = ((at ?? 0) + step + found.rows.length) % found.rows.length
      setAt(i)
      latest.current.show(found.rows[i]!)
    },
    [found, at],
  )
  return { text, set: setText, found, at, busy, failed, go }
}
