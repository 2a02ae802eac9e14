import { useId, useRef, useState, type KeyboardEvent } from 'react'
import { useGet } from '@/api/hooks'
import type { Found } from '@/api/types'
import { Glyph } from '@/kit/Chip'
import { useAway } from '@/kit/away'
import { useKeys } from '@/lib/keys'
import { navigate } from '@/lib/router'
import { pages } from '@/pages'

let input: HTMLInputElement | null = null
let fill: (text: string) => void = () => {}

/** focusSearch puts the cursor into the search box, with a text. */
export function focusSearch(text = ''): void {
  fill(text)
  input?.focus()
}

interface Hit {
  to: string
  what: string
  text: string
  state?: string
}

/** addressOf returns the page of something that was found. */
export function addressOf(f: Pick<Found, 'kind' | 'id'>): string {
  return { request: `/requests/${f.id}`, run: `/runs/${f.id}`, file: `/files/${f.id}` }[f.kind] ?? `/${f.kind}s/${f.id}`
}

/** Search is the one box: pages by name; requests, runs and files by the beginning of their ID. */
export function Search() {
  const [text, setText] = useState('')
  const [open, setOpen] = useState(false)
  const [at, setAt] = useState(0)
  const box = useRef<HTMLDivElement>(null)
  const id = useId()
  const q = text.trim()
  fill = (t) => {
    setText(t)
    setOpen(!!t)
  }
  useKeys([{ keys: '/', does: 'Search', run: () => focusSearch(), group: 'Everywhere' }])
  useAway(box, open, () => setOpen(false))
  const found = useGet('/v1/namespaces/{namespace}/search', { query: { id: q } }, { enabled: open && q.length >= 4, retry: false })
  const hits: Hit[] = [
    ...(found.data?.items ?? []).map((f) => ({ to: addressOf(f), what: f.kind, text: f.title ? `${f.title} (${f.id})` : f.id, ...(f.state ? { state: f.state } : {}) })),
    ...(q ? pages.filter((p) => p.group && p.title.toLowerCase().includes(q.toLowerCase())).map((p) => ({ to: p.path, what: 'page', text: p.title })) : []),
  ]
  const go = (h: Hit | undefined) => {
    if (!h) return
    setOpen(false)
    setText('')
    input?.blur()
    navigate(h.to)
  }
  const keys = (e: KeyboardEvent) => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault()
      setAt((at + (e.key === 'ArrowDown' ? 1 : hits.length - 1)) % Math.max(1, hits.length))
    } else if (e.key === 'Enter') go(hits[at] ?? hits[0])
    else if (e.key === 'Escape') {
      e.preventDefault()
      setOpen(false)
      input?.blur()
    }
  }
  return (
    <div className="search" ref={box} role="search">
      <input
        ref={(e) => {
          input = e
        }}
        role="combobox"
        aria-label="Search"
        aria-expanded={open && hits.length > 0}
        aria-controls={id}
        aria-activedescendant={open && hits[at] ? `${id}-${at}` : undefined}
        placeholder="Search requests, runs, pages…"
        value={text}
        onChange={(e) => {
          setText(e.target.value)
          setOpen(true)
          setAt(0)
        }}
        onFocus={() => setOpen(!!text)}
        onKeyDown={keys}
      />
      <kbd aria-hidden>/</kbd>
      <div id={id} role="listbox" aria-label="Found" className="menu found" hidden={!open || !q}>
        {hits.map((h, i) => (
          <button type="button" key={h.to} id={`${id}-${i}`} role="option" aria-selected={i === at} tabIndex={-1} onClick={() => go(h)}>
            {h.state && <Glyph state={h.state} />} {h.text} <span className="dim">{h.what}</span>
          </button>
        ))}
        {hits.length === 0 && (
          <div role="option" aria-selected={false} aria-disabled className="menuhead">
            {q.length < 4 ? 'Give at least 4 characters of an ID, or the name of a page' : found.isFetching ? 'Looking…' : 'Nothing was found'}
          </div>
        )}
      </div>
    </div>
  )
}
