import { Component, useEffect, useState, type ReactNode } from 'react'
import { ErrorBox } from './Boxes'

/** Panel is a framed part of a page. What breaks in it stays in it. */
export function Panel({ title, actions, children, flush, className }: { title?: ReactNode; actions?: ReactNode; children: ReactNode; flush?: boolean; className?: string }) {
  return (
    <section className={`panel ${className ?? ''}`}>
      {(title || actions) && (
        <header className="panelhead">
          {typeof title === 'string' ? <h2>{title}</h2> : title}
          {actions && <div className="actions">{actions}</div>}
        </header>
      )}
      <div className={flush ? undefined : 'pad'}>
        <Boundary>{children}</Boundary>
      </div>
    </section>
  )
}

/** Boundary keeps an error of what is below it from taking the page down. */
export class Boundary extends Component<{ children: ReactNode }, { error: Error | null }> {
  state: { error: Error | null } = { error: null }
  static getDerivedStateFromError(error: Error) {
    return { error }
  }
  render() {
    if (this.state.error) return <ErrorBox error={this.state.error} what="This part cannot be shown" retry={() => this.setState({ error: null })} />
    return this.props.children
  }
}

/** Facts are names with values in a row, each: [name, value]. Empty values are left out. */
export function Facts({ items }: { items: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {items
        .filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false)
        .map(([k, v]) => (
          <div key={k}>
            <dt>{k}</dt>
            <dd>{v}</dd>
          </div>
        ))}
    </dl>
  )
}

/** Late shows its children only after 150 ms, so that what is fast does not flicker. */
export function Late({ children }: { children: ReactNode }) {
  const [on, setOn] = useState(false)
  useEffect(() => {
    const t = setTimeout(() => setOn(true), 150)
    return () => clearTimeout(t)
  }, [])
  return on ? children : null
}
