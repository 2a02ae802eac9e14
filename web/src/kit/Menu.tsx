import { useId, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { useAway } from './away'

export interface MenuItem {
  label: ReactNode
  onSelect: () => void
  /** Why it cannot be chosen; any text turns it off. */
  off?: string
  /** It is one of several, and chosen. */
  checked?: boolean
  danger?: boolean
}

/** Menu is a button that opens a list of things to do. A string among the items is a heading. */
export function Menu({ label, items, title, className, children }: { label?: string; title?: string; className?: string; items: (MenuItem | string)[]; children: ReactNode }) {
  const [open, setOpen] = useState(false)
  const id = useId()
  const box = useRef<HTMLDivElement>(null)
  const list = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  useAway(box, open, () => setOpen(false))
  useLayoutEffect(() => {
    if (!open) return
    const l = list.current
    l?.querySelector<HTMLElement>('[role^=menuitem]')?.focus()
    // Kept within the window: it opens to the left where there is no room to the right.
    if (l && l.getBoundingClientRect().right > innerWidth - 8) l.classList.add('left')
  }, [open])
  const close = () => {
    setOpen(false)
    button.current?.focus()
  }
  const keys = (e: KeyboardEvent) => {
    const all = [...(list.current?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])]
    const i = all.indexOf(document.activeElement as HTMLElement)
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: -1 }[e.key]
    if (to !== undefined) {
      e.preventDefault()
      all.at(to % all.length)?.focus()
    } else if (e.key === 'Escape' || e.key === 'Tab') {
      if (e.key === 'Escape') e.preventDefault()
      e.stopPropagation()
      close()
    } else if (e.key.length === 1) {
      const rest = [...all.slice(i + 1), ...all.slice(0, i + 1)]
      rest.find((x) => x.textContent?.trim().toLowerCase().startsWith(e.key.toLowerCase()))?.focus()
    }
  }
  return (
    <div className="menubox" ref={box}>
      <button
        ref={button}
        type="button"
        className={`button ${className ?? ''}`}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={label}
        title={title}
        onClick={() => setOpen(!open)}
        onKeyDown={(e) => {
          if (e.key === 'ArrowDown' && !open) {
            e.preventDefault()
            setOpen(true)
          }
        }}
      >
        {children}
      </button>
      {open && (
        <div id={id} role="menu" className="menu" ref={list} onKeyDown={keys} aria-label={label ?? title ?? 'Menu'}>
          {items.map((item, i) =>
            typeof item === 'string' ? (
              <div key={i} className="menuhead" role="presentation">
                {item}
              </div>
            ) : (
              <button
                key={i}
                type="button"
                role={item.checked === undefined ? 'menuitem' : 'menuitemradio'}
                aria-checked={item.checked}
                aria-disabled={item.off ? true : undefined}
                title={item.off}
                tabIndex={-1}
                className={item.danger ? 'danger' : undefined}
                onClick={() => {
                  if (item.off) return
                  close()
                  item.onSelect()
                }}
              >
                {item.checked !== undefined && <span className="check">{item.checked ? '✓' : ''}</span>}
                {item.label}
              </button>
            ),
          )}
        </div>
      )}
    </div>
  )
}
