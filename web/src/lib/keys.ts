// The keyboard, in one registry: what a page adds is listed by `?` and gone with the page.
import { useEffect, useRef } from 'react'
import { preference, store } from './store'

export interface Key {
  /** One key as KeyboardEvent.key has it ("j", "?", "Enter"), or two after one another: "g h". */
  keys: string
  /** What it does, as `?` shows it. */
  does: string
  run: () => void
  /** Heading in the list. */
  group?: string
}

/** keysOff holds "off" where single keys are turned off (WCAG 2.1.4); Escape always works. */
export const keysOff = preference('keys', '')

/** registered are all keys there are now, the newest last. */
export const registered = store<Key[]>([])

/** useKeys registers keys while the component is there. What is registered later wins. */
export function useKeys(keys: Key[], on = true): void {
  const latest = useRef(keys)
  useEffect(() => {
    latest.current = keys
  })
  const names = keys.map((k) => `${k.keys}|${k.does}|${k.group ?? ''}`).join('\n')
  useEffect(() => {
    if (!on) return
    const mine = latest.current.map((k, i) => ({ ...k, run: () => latest.current[i]?.run() }))
    registered.set([...registered.get(), ...mine])
    return () => registered.set(registered.get().filter((k) => !mine.includes(k)))
  }, [names, on])
}

/** typing reports whether keys go into a field, or into something that has keys of its own. */
function typing(e: KeyboardEvent): boolean {
  const t = e.target as HTMLElement | null
  return !!t?.closest?.('input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable=true], [role=menu]')
}

const patience = 1200 // ms between the two keys of a sequence
let first = ''
let firstAt = 0

addEventListener('keydown', (e) => {
  if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return
  if (e.key !== 'Escape' && (typing(e) || keysOff.get() || document.querySelector('dialog[open]'))) return
  const all = registered.get().toReversed()
  const sequence = first && e.timeStamp - firstAt < patience ? `${first} ${e.key}` : ''
  first = ''
  const found = all.find((k) => k.keys === sequence) ?? all.find((k) => k.keys === e.key)
  if (found) {
    // Enter and Space belong to the button or link that has the focus.
    if ((e.key === 'Enter' || e.key === ' ') && (e.target as HTMLElement).closest('a, button, summary')) return
    e.preventDefault()
    found.run()
    return
  }
  if (all.some((k) => k.keys.startsWith(e.key + ' '))) {
    first = e.key
    firstAt = e.timeStamp
  }
})
