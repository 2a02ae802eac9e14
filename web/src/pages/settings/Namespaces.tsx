import { useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Dialog, Empty, ErrorBox, Field, Loaded, Panel, Table, Time, type Column } from '@/kit'
import { useNamespace } from '@/lib/me'
import { Link } from '@/lib/router'

type Namespace = Schemas['Namespace']
const path = '/v1/namespaces'

/** Namespaces keep what belongs to different people apart. */
export function Namespaces() {
  const list = useGet(path)
  const chosen = useNamespace()
  const [adding, setAdding] = useState(false)
  const columns: Column<Namespace>[] = [
    { key: 'name', title: 'Name', cell: (n) => <Link to={`/?ns=${n.name}`} className="strong">{n.name}</Link>, sort: (n) => n.name },
    { key: 'title', title: 'Title', wide: true, cell: (n) => n.title },
    { key: 'created', title: 'Since', width: 120, cell: (n) => <Time at={n.created} /> },
    { key: 'chosen', title: <span className="vh">Chosen</span>, width: 90, cell: (n) => (n.name === chosen ? <span className="dim">chosen</span> : null) },
  ]
  return (
    <Panel flush title="Namespaces" actions={<Button kind="primary" perm="namespace.write" everywhere onClick={() => setAdding(true)}>New namespace</Button>}>
      <Loaded query={list} what="The namespaces cannot be read">
        {({ items }) => <Table label="Namespaces" columns={columns} rows={(items ?? []) as Namespace[]} rowKey={(n) => n.name} empty={<Empty title="There is no namespace you can see" cli="tutti namespace list" />} />}
      </Loaded>
      {adding && <Add onClose={() => setAdding(false)} />}
    </Panel>
  )
}

function Add({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('')
  const [title, setTitle] = useState('')
  const create = useAction(path, { done: 'Namespace created', refresh: [path], quiet: true, onDone: onClose })
  const why = /^[a-z][a-z0-9-]{0,62}$/.test(name) ? '' : 'a name has small letters, digits and dashes'
  return (
    <Dialog
      title="New namespace"
      onClose={onClose}
      onSubmit={() => !why && !create.isPending && create.mutate({ body: { name, ...(title && { title }) } })}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" off={why} busy={create.isPending} perm="namespace.write" everywhere>
            Create the namespace
          </Button>
        </>
      }
    >
      {create.error && <ErrorBox error={create.error} what="Nothing was created" />}
      <Field label="Name" value={name} autoFocus onChange={(e) => setName(e.target.value)} />
      <Field label="Title" value={title} maxLength={200} onChange={(e) => setTitle(e.target.value)} />
    </Dialog>
  )
}
