import { absolute, useNow } from '@/lib/clock'
import { ago, clock, duration, full } from '@/lib/format'
import { useStore } from '@/lib/store'

/** Time is when something was: relative, absolute in the tooltip; key t switches. */
export function Time({ at }: { at: string | undefined }) {
  const now = useNow(!!at)
  const abs = useStore(absolute)
  if (!at || at.startsWith('0001')) return null
  const t = Date.parse(at)
  return (
    <time dateTime={at} title={abs ? ago(now - t) : full(t)} className="nums">
      {abs ? clock(t, now) : ago(now - t)}
    </time>
  )
}

/** Took is how long something took, or has taken until now. */
export function Took({ from, to }: { from: string | undefined; to?: string | undefined }) {
  const live = !!from && !to
  const now = useNow(live)
  if (!from) return null
  return <span className="nums">{duration((to ? Date.parse(to) : now) - Date.parse(from))}</span>
}
