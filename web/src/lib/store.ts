// Small pieces of state that several components share, and preferences that this browser keeps.
import { useSyncExternalStore } from 'react'

export interface Store<T> {
  get(): T
  set(value: T): void
  subscribe(f: () => void): () => void
}

/** store returns a value that components can follow. */
export function store<T>(initial: T): Store<T> {
  let value = initial
  const followers = new Set<() => void>()
  return {
    get: () => value,
    set(v) {
      if (Object.is(v, value)) return
      value = v
      for (const f of followers) f()
    },
    subscribe(f) {
      followers.add(f)
      return () => followers.delete(f)
    },
  }
}

/** useStore returns the value of a store, and draws again when it changes. */
export function useStore<T>(s: Store<T>): T {
  return useSyncExternalStore(s.subscribe, s.get)
}

/** preference is a store whose value this browser remembers, where it lets us. */
export function preference(name: string, initial: string): Store<string> {
  let kept = initial
  try {
    kept = localStorage.getItem(name) ?? initial
  } catch {
    // Storage is off: nothing is remembered.
  }
  const s = store(kept)
  s.subscribe(() => {
    try {
      if (s.get() === initial) localStorage.removeItem(name)
      else localStorage.setItem(name, s.get())
    } catch {
      // As above.
    }
  })
  return s
}
