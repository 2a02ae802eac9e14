import { useGet } from '@/api/hooks'
import type { Schemas } from '@/api/client'
import { Empty, Id, Loaded, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { bytes, person } from '@/lib/format'
import { useNamespace } from '@/lib/me'

type File = Schemas['File']
type Message = Schemas['Message']

/** Files are what a trace left: files, and mails. */
export function Files({ trace }: { trace: string }) {
  const ns = useNamespace()
  const files = useGet('/v1/namespaces/{namespace}/files', { query: { trace, limit: 200 } })
  const mails = useGet('/v1/namespaces/{namespace}/messages', { query: { trace, limit: 200 } })
  const fileColumns: Column<File>[] = [
    {
      key: 'name',
      title: 'Name',
      cell: (f) => (
        <a href={`/v1/namespaces/${encodeURIComponent(ns)}/files/${f.id}/content`} download={f.name} className="strong">
          {f.name || f.id}
        </a>
      ),
    },
    { key: 'type', title: 'Type', width: 180, wide: true, cell: (f) => f.type },
    { key: 'size', title: 'Size', width: 90, num: true, cell: (f) => bytes(f.size) },
    { key: 'by', title: 'By', width: 120, wide: true, cell: (f) => person(f.by) },
    { key: 'at', title: 'Made', width: 110, wide: true, cell: (f) => <Time at={f.created} /> },
    { key: 'id', title: 'File', width: 150, wide: true, cell: (f) => <Id id={f.id} /> },
  ]
  const mailColumns: Column<Message>[] = [
    { key: 'state', title: 'State', width: 124, cell: (m) => <StateChip state={m.state}>{m.state === 'succeeded' ? 'Sent' : undefined}</StateChip> },
    { key: 'subject', title: 'Subject', cell: (m) => <span title={m.text}>{m.subject}</span> },
    { key: 'to', title: 'To', width: 220, wide: true, cell: (m) => (m.to ?? []).join(', ') },
    { key: 'at', title: 'Asked', width: 110, wide: true, cell: (m) => <Time at={m.created} /> },
  ]
  return (
    <>
      <Panel title="Files" flush>
        <Loaded query={files} what="The files cannot be read">
          {(p) => <Table label="Files" columns={fileColumns} rows={p.items ?? []} rowKey={(f) => f.id} empty={<Empty title="No file belongs to it" cli="tutti file put FILE">What tasks store, and the request itself, is kept here.</Empty>} />}
        </Loaded>
      </Panel>
      <Panel title="Mails" flush>
        <Loaded query={mails} what="The mails cannot be read">
          {(p) => <Table label="Mails" columns={mailColumns} rows={p.items ?? []} rowKey={(m) => m.id} empty={<Empty title="Nobody was written to" />} />}
        </Loaded>
      </Panel>
    </>
  )
}
