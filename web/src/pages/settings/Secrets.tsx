import { useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Confirm, Dialog, Empty, ErrorBox, Field, Loaded, Panel, Table, Time, type Column } from '@/kit'
import { person } from '@/lib/format'

type Secret = Schemas['SecretInfo']
const path = '/v1/namespaces/{namespace}/secrets'

/** Secrets are written and used, and never shown. */
export function Secrets() {
  const list = useGet(path)
  const [open, setOpen] = useState<string>()
  const [gone, setGone] = useState<Secret>()
  const remove = useAction<'/v1/namespaces/{namespace}/secrets/{name}', 'delete'>('/v1/namespaces/{namespace}/secrets/{name}', { method: 'delete', done: 'Secret deleted', refresh: [path], onDone: () => setGone(undefined) })
  const columns: Column<Secret>[] = [
    { key: 'name', title: 'Name', cell: (s) => <code>{s.name}</code>, sort: (s) => s.name },
    { key: 'version', title: 'Version', width: 80, num: true, wide: true, cell: (s) => s.version },
    { key: 'by', title: 'Set by', width: 120, wide: true, cell: (s) => person(s.by) },
    { key: 'updated', title: 'Set', width: 110, wide: true, cell: (s) => <Time at={s.updated} />, sort: (s) => Date.parse(s.updated) },
    {
      key: 'do',
      title: <span className="vh">Actions</span>,
      width: 172,
      cell: (s) => (
        <span className="actions">
          <Button perm="secret.set" onClick={() => setOpen(s.name)}>
            Replace
          </Button>
          <Button kind="danger" perm="secret.set" onClick={() => setGone(s)}>
            Delete…
          </Button>
        </span>
      ),
    },
  ]
  return (
    <Panel flush title="Secrets" actions={<Button kind="primary" perm="secret.set" onClick={() => setOpen('')}>New secret</Button>}>
      <Loaded query={list} what="The secrets cannot be read">
        {({ items }) => (
          <Table
            label="Secrets"
            columns={columns}
            rows={(items ?? []) as Secret[]}
            rowKey={(s) => s.name}
            rowHeight={40}
            empty={
              <Empty title="There is no secret" cli="tutti secret set vcenter_password">
                Workflows name secrets in <code>{'${{ secrets.name }}'}</code>; their values are in no file, no log and no answer.
              </Empty>
            }
          />
        )}
      </Loaded>
      {open !== undefined && <Edit name={open} onClose={() => setOpen(undefined)} />}
      {gone && (
        <Confirm title={`Delete the secret ${gone.name}`} verb="Delete the secret" danger type={gone.name} busy={remove.isPending} onClose={() => setGone(undefined)} onConfirm={() => remove.mutate({ path: { name: gone.name } })}>
          <p>Tasks that use it fail from now on. Its value cannot be brought back.</p>
        </Confirm>
      )}
    </Panel>
  )
}

function Edit({ name: given, onClose }: { name: string; onClose: () => void }) {
  const [name, setName] = useState(given)
  const [value, setValue] = useState('')
  const set = useAction<'/v1/namespaces/{namespace}/secrets/{name}', 'put'>('/v1/namespaces/{namespace}/secrets/{name}', { method: 'put', done: 'Secret stored', refresh: [path], quiet: true, onDone: onClose })
  const why = !/^[a-z][a-z0-9_]{0,62}$/.test(name) ? 'a name has small letters, digits and _' : value ? '' : 'give a value'
  return (
    <Dialog
      title={given ? `Replace the secret ${given}` : 'New secret'}
      onClose={onClose}
      onSubmit={() => !why && !set.isPending && set.mutate({ path: { name }, body: { value } })}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" off={why} busy={set.isPending} perm="secret.set">
            Store the secret
          </Button>
        </>
      }
    >
      {set.error && <ErrorBox error={set.error} what="Nothing was stored" />}
      {!given && <Field label="Name" value={name} autoFocus autoComplete="off" hint="As expressions call it: small letters, digits and _" onChange={(e) => setName(e.target.value)} />}
      <Field label="Value" type="password" autoComplete="off" value={value} maxLength={65536} hint="It can be used but never read back" onChange={(e) => setValue(e.target.value)} />
    </Dialog>
  )
}
