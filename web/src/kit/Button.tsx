import type { ButtonHTMLAttributes, ReactNode } from 'react'
import { Link } from '@/lib/router'
import { useCan } from '@/lib/me'
import type { Permission } from '@/api/roles'

export interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'title'> {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet'
  /** Permission it needs in the namespace: without it the button is off, and says why. */
  perm?: Permission
  /** The permission is needed in every namespace. */
  everywhere?: boolean
  /** Why it is off; any text turns it off. */
  off?: string | undefined
  /** It works: shows progress and takes no click. */
  busy?: boolean
  title?: string
  children: ReactNode
}

/** Button does something. One that is off stays reachable, so that its reason can be read. */
export function Button({ kind = 'plain', perm, everywhere, off, busy, title, className, onClick, children, type = 'button', ...rest }: ButtonProps) {
  const allowed = useCan(perm, everywhere)
  const reason = off || (allowed.ok ? '' : allowed.reason)
  const dead = !!reason || !!busy
  return (
    <button
      {...rest}
      type={type}
      className={`button ${kind} ${className ?? ''}`}
      aria-disabled={dead || undefined}
      aria-busy={busy || undefined}
      title={reason || title}
      onClick={(e) => {
        if (dead) {
          e.preventDefault()
          return
        }
        onClick?.(e)
      }}
    >
      {busy && <i className="spinner" aria-hidden />}
      {children}
      {reason && <span className="vh"> (off: {reason})</span>}
    </button>
  )
}

/** LinkButton goes to a page and looks like a button. */
export function LinkButton({ to, kind = 'plain', perm, children }: { to: string; kind?: ButtonProps['kind']; perm?: Permission; children: ReactNode }) {
  const allowed = useCan(perm)
  if (!allowed.ok)
    return (
      <Button kind={kind} off={allowed.reason}>
        {children}
      </Button>
    )
  return (
    <Link to={to} className={`button ${kind}`}>
      {children}
    </Link>
  )
}
