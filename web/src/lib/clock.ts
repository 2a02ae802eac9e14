// Time is the server's, never the browser's: its clock is known from the Date of every answer, which
// narrows down the difference.
import { useSyncExternalStore } from 'react'
import { preference } from './store'

let low = -Infinity
let high = Infinity
let offset = 0

/** learn takes the Date header of an answer to a question asked at `asked` (of this browser's clock). */
export function learn(date: string | null, asked: number): void {
  const at = date ? Date.parse(date) : NaN
  if (Number.isNaN(at)) return
  const lo = at - Date.now()
  const hi = at + 1000 - asked
  if (lo > high || hi < low) {
    low = lo // a clock was set: what was known is worth nothing
    high = hi
  } else {
    low = Math.max(low, lo)
    high = Math.min(high, hi)
  }
  offset = low <= 0 && high >= 0 ? 0 : (low + high) / 2
}

/** now returns the server's time in milliseconds. */
export const now = (): number => Date.now() + offset

/** absolute switches all times of the UI between "3 min ago" and "08:52:11" (key t). */
export const absolute = preference('absolute-time', '')

const tickers = new Set<() => void>()
let second = 0
let timer: ReturnType<typeof setInterval> | undefined

function subscribe(f: () => void) {
  tickers.add(f)
  timer ??= setInterval(() => {
    second++
    for (const t of tickers) t()
  }, 1000)
  return () => {
    tickers.delete(f)
    if (tickers.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }
}
const never = () => () => {}

/** useNow returns the server's time and draws again every second; once, where on is false. */
export function useNow(on = true): number {
  useSyncExternalStore(on ? subscribe : never, () => second)
  return now()
}
