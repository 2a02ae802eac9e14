import { useEffect, useId, useRef, useState, type FormEvent, type ReactNode } from 'react'
import { Button } from './Button'

export interface DialogProps {
  title: string
  onClose: () => void
  children: ReactNode
  /** Buttons at the foot. */
  foot?: ReactNode
  wide?: boolean
  /** What Enter does. */
  onSubmit?: () => void
}

/** Dialog asks for something before anything else; it is open as long as it is drawn. Escape closes it. */
export function Dialog({ title, onClose, children, foot, wide, onSubmit }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const d = ref.current
    const before = document.activeElement as HTMLElement | null
    if (d && !d.open) d.showModal()
    return () => {
      d?.close()
      before?.focus?.()
    }
  }, [])
  const submit = (e: FormEvent) => {
    e.preventDefault()
    onSubmit?.()
  }
  return (
    <dialog
      ref={ref}
      className={wide ? 'wide' : undefined}
      aria-labelledby={id}
      onCancel={(e) => {
        e.preventDefault()
        onClose()
      }}
      onClick={(e) => e.target === ref.current && onClose()}
    >
      <form className="dialog" onSubmit={submit}>
        <header>
          <h2 id={id}>{title}</h2>
          <button type="button" className="button quiet icon" aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </header>
        <div className="dialogbody">{children}</div>
        {foot && <footer>{foot}</footer>}
      </form>
    </dialog>
  )
}

export interface ConfirmProps {
  /** The act with its object and number: "Roll back 72 targets to v2.3.9". */
  title: string
  /** What happens then, in a sentence or two. */
  children: ReactNode
  /** The verb of the button: "Roll back 72 targets". */
  verb: string
  danger?: boolean
  /** To be typed, where something is destroyed. */
  type?: string
  /** Asks for a reason; required where it says so. */
  reason?: 'optional' | 'required'
  busy?: boolean
  onConfirm: (reason: string) => void
  onClose: () => void
}

/** Confirm asks before something dangerous is done. */
export function Confirm(p: ConfirmProps) {
  const [typed, setTyped] = useState('')
  const [reason, setReason] = useState('')
  const off = p.type && typed !== p.type ? `type ${p.type} first` : p.reason === 'required' && !reason.trim() ? 'give a reason first' : ''
  const go = () => !off && !p.busy && p.onConfirm(reason.trim())
  return (
    <Dialog
      title={p.title}
      onClose={p.onClose}
      onSubmit={go}
      foot={
        <>
          <Button onClick={p.onClose}>Keep it as it is</Button>
          <Button type="submit" kind={p.danger ? 'danger' : 'primary'} className={p.danger ? 'filled' : ''} off={off} busy={p.busy ?? false}>
            {p.verb}
          </Button>
        </>
      }
    >
      <div className="stack">{p.children}</div>
      {p.reason && (
        <label className="field">
          <span>Reason{p.reason === 'optional' && <small className="dim"> (optional)</small>}</span>
          <input value={reason} onChange={(e) => setReason(e.target.value)} maxLength={1000} autoFocus />
        </label>
      )}
      {p.type && (
        <label className="field">
          <span>
            Type <code>{p.type}</code> to go on
          </span>
          <input value={typed} onChange={(e) => setTyped(e.target.value)} autoFocus autoComplete="off" />
        </label>
      )}
    </Dialog>
  )
}
