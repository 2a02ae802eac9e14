import { useId, useRef, type KeyboardEvent, type ReactNode } from 'react'
import { useKeys } from '@/lib/keys'

export interface Tab {
  id: string
  label: ReactNode
}

/**
 * Tabs are parts of a page of which one is shown: children(the chosen one). Keep the choice in the
 * address: const [tab, setTab] = useQueryParam('tab', 'timeline'). With keys, [ and ] go through them.
 */
export function Tabs({ tabs, value, onChange, label, keys, children }: { tabs: Tab[]; value: string; onChange: (id: string) => void; label: string; keys?: boolean; children: ReactNode }) {
  const id = useId()
  const list = useRef<HTMLDivElement>(null)
  const at = Math.max(0, tabs.findIndex((t) => t.id === value))
  const chosen = tabs[at]?.id ?? ''
  const go = (d: number, focus = false) => {
    const to = (at + d + tabs.length) % tabs.length
    onChange(tabs[to]?.id ?? '')
    if (focus) list.current?.querySelectorAll<HTMLElement>('[role=tab]')[to]?.focus()
  }
  useKeys(
    [
      { keys: '[', does: `Previous tab`, run: () => go(-1), group: 'Page' },
      { keys: ']', does: `Next tab`, run: () => go(1), group: 'Page' },
    ],
    !!keys,
  )
  const arrows = (e: KeyboardEvent) => {
    if (e.key === 'ArrowRight' || e.key === 'ArrowLeft') {
      e.preventDefault()
      go(e.key === 'ArrowRight' ? 1 : -1, true)
    }
  }
  return (
    <>
      <div className="tabs" role="tablist" aria-label={label} ref={list} onKeyDown={arrows}>
        {tabs.map((t) => (
          <button
            key={t.id}
            type="button"
            role="tab"
            id={`${id}-${t.id}`}
            aria-selected={t.id === chosen}
            aria-controls={`${id}-panel`}
            tabIndex={t.id === chosen ? 0 : -1}
            onClick={() => onChange(t.id)}
          >
            {t.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}-panel`} aria-labelledby={`${id}-${chosen}`} className="tabpanel">
        {children}
      </div>
    </>
  )
}
