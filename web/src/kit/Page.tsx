import { useEffect, type ReactNode } from 'react'
import { copy } from '@/lib/copy'
import { useNamespace } from '@/lib/me'
import { Link } from '@/lib/router'
import { Button } from './Button'
import { Boundary } from './Panel'

export interface PageProps {
  /** The heading, and the title of the tab. */
  title: string
  /** Beside the heading: the state. */
  chip?: ReactNode
  /** Where the page is: [["Requests", "/requests"], ["req_7k2m", ""]]. */
  crumbs?: [string, string][]
  /** Buttons at the right. */
  actions?: ReactNode
  /** The command that shows the same: "tutti request list". The namespace is added. */
  cli?: string
  children: ReactNode
}

/** Page is the frame of every page: crumbs, heading, actions, and the command line that does the same. */
export function Page({ title, chip, crumbs, actions, cli, children }: PageProps) {
  const ns = useNamespace()
  useEffect(() => {
    document.title = `${title} · Tutti`
  }, [title])
  const command = cli && ns !== 'default' ? `${cli} --namespace ${ns}` : cli
  return (
    <main id="main" className="page" tabIndex={-1}>
      {crumbs && (
        <nav className="crumbs" aria-label="Breadcrumb">
          {crumbs.map(([label, to], i) => (
            <span key={i}>
              {i > 0 && <span aria-hidden> / </span>}
              {to ? <Link to={to}>{label}</Link> : <span aria-current="page">{label}</span>}
            </span>
          ))}
        </nav>
      )}
      <div className="head">
        <h1>{title}</h1>
        {chip}
        <div className="actions">
          {command && (
            <Button kind="quiet" className="clibutton" title={command} onClick={() => void copy(command, `Copied: ${command}`)}>
              Copy CLI command
            </Button>
          )}
          {actions}
        </div>
      </div>
      <Boundary>{children}</Boundary>
    </main>
  )
}
