import { useEffect, useRef, useState } from 'react'

/** useSteady returns a value that changes all the time, but changes itself at most once in so many milliseconds. */
export function useSteady<T>(value: T, ms: number): T {
  const [held, setHeld] = useState(value)
  const latest = useRef(value)
  useEffect(() => {
    latest.current = value
  })
  const moved = held !== value
  useEffect(() => {
    if (!moved) return
    const timer = setTimeout(() => setHeld(latest.current), ms)
    return () => clearTimeout(timer)
  }, [moved, ms, held])
  return held
}
