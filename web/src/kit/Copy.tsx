import { copy } from '@/lib/copy'
import { short } from '@/lib/format'
import { useKeys } from '@/lib/keys'
import { Link } from '@/lib/router'

/** Id shows an ID short, copies all of it, and links to its page where to is given. */
export function Id({ id, to }: { id: string; to?: string }) {
  if (!id) return null
  const text = <code title={id}>{short(id)}</code>
  return (
    <span className="id">
      {to ? <Link to={to}>{text}</Link> : text}
      <button type="button" className="copy" aria-label={`Copy ${id}`} title={`Copy ${id}`} onClick={() => void copy(id, `${id} copied`)}>
        <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden>
          <path d="M4 4V1h7v7H8M1 4h7v7H1z" fill="none" stroke="currentColor" />
        </svg>
      </button>
    </span>
  )
}

/** useCopyKey makes y copy the ID of what the page shows. */
export function useCopyKey(id: string | undefined): void {
  useKeys([{ keys: 'y', does: 'Copy the ID', run: () => void copy(id ?? '', `${id} copied`), group: 'Page' }], !!id)
}
