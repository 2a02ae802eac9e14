import { ErrorBox, Skeleton } from '@/kit'
import { save } from '@/lib/copy'
import { setQuery, useAddress, useQueryParam } from '@/lib/router'
import { LogView, type LogOptions } from '@/views/log/LogView'
import { useRunLog } from './useRunLog'

export interface RunLogProps {
  run: string
  task?: string
  attempt?: number
  /** Height in CSS. */
  height: string
  /** The log of a whole run: its lines have links, and say whose they are. */
  full?: boolean
}

/** RunLog shows the log of a run, or of one task of it. How it is looked at is in the address. */
export function RunLog({ run, task = '', attempt = 0, height, full }: RunLogProps) {
  const log = useRunLog(run, task, attempt)
  const { query } = useAddress()
  const [find] = useQueryParam('find')
  const [line] = useQueryParam('line')
  const [look, setLook] = useQueryParam('log', full && !line && !find ? 'follow,tasks,times' : full ? 'tasks,times' : 'follow')
  if (log.error && !log.known) return <ErrorBox error={log.error as Error} what="The log cannot be read" retry={log.retry} />
  if (!log.known) return <Skeleton rows={4} height={18} />
  const on = look.split(',')
  const options: LogOptions = { follow: on.includes('follow'), wrap: on.includes('wrap'), times: on.includes('times'), tasks: on.includes('tasks') }
  const choose = (o: LogOptions) => setLook((['follow', 'wrap', 'times', 'tasks'] as const).filter((k) => o[k]).join(',') || 'plain')
  const href = (row: number) => {
    const q = new URLSearchParams(query)
    q.set('line', String(row + 1))
    return `?${q}`
  }
  // What one task wrote stands beside other things: it takes no more room than it needs.
  const lines = Math.max(3, Math.min(200, log.rows.total))
  return (
    <div style={{ height: full ? height : `min(${height}, ${lines * 18 + 84}px)` }}>
      <LogView
        rows={log.rows}
        version={log.version}
        load={log.load}
        search={log.search}
        options={options}
        onOptions={choose}
        line={full && line ? Number(line) - 1 : undefined}
        onLine={(row) => full && setQuery({ line: String(row + 1) })}
        {...(full && { lineHref: href, find })}
        onFind={full ? (text) => setQuery({ find: text }) : undefined}
        onDownload={() => void log.whole().then((text) => save(text, `${run}${task ? '-' + task : ''}.log`))}
        live={log.live}
        empty={log.live ? 'Nothing was written yet. Lines appear here as they are written.' : 'Nothing was written.'}
        label={task ? `Log of ${task}` : 'Log of the run'}
        compact={!full}
      />
    </div>
  )
}
