// A text that was changed and not yet published is kept in this browser.
const place = (ns: string, kind: string, name: string) => `text:${ns}:${kind}:${name}`

/** kept returns the text that was left, if there is one. */
export function kept(ns: string, kind: string, name: string): string | undefined {
  try {
    return localStorage.getItem(place(ns, kind, name)) ?? undefined
  } catch {
    return undefined
  }
}

/** keep stores a text, where the browser lets us. */
export function keep(ns: string, kind: string, name: string, text: string): void {
  try {
    localStorage.setItem(place(ns, kind, name), text)
  } catch {
    // Storage is off or full: the editor works without.
  }
}

/** drop forgets it. */
export function drop(ns: string, kind: string, name: string): void {
  try {
    localStorage.removeItem(place(ns, kind, name))
  } catch {
    // As above.
  }
}
