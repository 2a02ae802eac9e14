import { useSyncExternalStore } from 'react'

const query = matchMedia('(max-width: 700px)')

function subscribe(f: () => void): () => void {
  query.addEventListener('change', f)
  return () => query.removeEventListener('change', f)
}

/** useNarrow reports whether the window is as narrow as a phone: the same 700 px as in style.css. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => query.matches)
}
