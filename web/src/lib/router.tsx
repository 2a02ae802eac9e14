// The address is the state: path, query and line number say all that a page shows. Links and changes
// keep the namespace (?ns=) that the person has chosen.
import { useMemo, useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from 'react'

const changed = new Set<() => void>()
let snapshot = location.pathname + location.search + location.hash

function tell() {
  snapshot = location.pathname + location.search + location.hash
  for (const f of changed) f()
}
addEventListener('popstate', tell)
addEventListener('hashchange', tell)

function subscribe(f: () => void) {
  changed.add(f)
  return () => changed.delete(f)
}

/** withNamespace returns an address of this UI with the namespace that is chosen, unless it names one. */
export function withNamespace(to: string): string {
  const ns = new URLSearchParams(location.search).get('ns')
  const url = new URL(to, location.origin)
  if (ns && !url.searchParams.has('ns')) url.searchParams.set('ns', ns)
  return url.pathname + url.search + url.hash
}

/** navigate goes to an address such as /requests?state=failed. With replace, Back skips where one was. */
export function navigate(to: string, o: { replace?: boolean } = {}): void {
  const next = withNamespace(to)
  if (next === snapshot) return
  const moved = next.split(/[?#]/)[0] !== location.pathname
  if (o.replace) history.replaceState(history.state, '', next)
  else history.pushState(null, '', next)
  tell()
  if (moved && !o.replace) scrollTo(0, 0)
}

export interface Address {
  path: string
  query: URLSearchParams
  hash: string
}

/** useAddress returns where the person is, and draws again when that changes. */
export function useAddress(): Address {
  const s = useSyncExternalStore(subscribe, () => snapshot)
  return useMemo(() => {
    const u = new URL(s, location.origin)
    return { path: u.pathname, query: u.searchParams, hash: u.hash.slice(1) }
  }, [s])
}

/** useQueryParam is a piece of state that lives in the address; its default is not written there. */
export function useQueryParam(name: string, initial = ''): [string, (value: string, o?: { push?: boolean }) => void] {
  const { query } = useAddress()
  const set = (value: string, o: { push?: boolean } = {}) => setQuery({ [name]: value === initial ? '' : value }, o)
  return [query.get(name) ?? initial, set]
}

/** setQuery changes several parameters of the address at once; an empty value removes one. */
export function setQuery(values: Record<string, string>, o: { push?: boolean } = {}): void {
  const u = new URL(location.href)
  for (const [k, v] of Object.entries(values)) {
    if (v) u.searchParams.set(k, v)
    else u.searchParams.delete(k)
  }
  navigate(u.pathname + u.search + u.hash, { replace: !o.push })
}

/** match returns the values of :names in a pattern such as /requests/:id, or null. */
export function match(pattern: string, path: string): Record<string, string> | null {
  const want = pattern.split('/')
  const have = path.replace(/(.)\/$/, '$1').split('/')
  if (want.length !== have.length) return null
  const found: Record<string, string> = {}
  for (const [i, w] of want.entries()) {
    const h = have[i] ?? ''
    if (w.startsWith(':')) {
      if (!h) return null
      try {
        found[w.slice(1)] = decodeURIComponent(h)
      } catch {
        return null
      }
    } else if (w !== h) return null
  }
  return found
}

export type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { to: string }

/** Link is a link to a page of this UI: a real one, so that it can be opened in another tab. */
export function Link({ to, onClick, ...rest }: LinkProps) {
  useSyncExternalStore(subscribe, () => snapshot)
  const go = (e: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(e)
    if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey || rest.target) return
    e.preventDefault()
    navigate(to)
  }
  return <a {...rest} href={withNamespace(to)} onClick={go} />
}
