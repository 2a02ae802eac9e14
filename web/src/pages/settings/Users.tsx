import { useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Confirm, Dialog, Empty, ErrorBox, Field, Loaded, Panel, StateChip, Table, Time, type Column } from '@/kit'
import { useMe } from '@/lib/me'
import { grantsText, parseGrants, writeGrants } from './grants'

type User = Schemas['User']
const path = '/v1/users'

/** Users are the local users, with their roles by namespace. */
export function Users() {
  const me = useMe()
  const list = useGet(path)
  const [open, setOpen] = useState<User | 'new'>()
  const [gone, setGone] = useState<User>()
  const remove = useAction<'/v1/users/{name}', 'delete'>('/v1/users/{name}', { method: 'delete', done: 'User deleted', refresh: [path], onDone: () => setGone(undefined) })
  const self = (u: User) => me.subject === `user:${u.name}`
  const columns: Column<User>[] = [
    { key: 'name', title: 'Name', width: 140, cell: (u) => <b>{u.name}</b>, sort: (u) => u.name },
    { key: 'state', title: 'State', width: 90, cell: (u) => <StateChip state={u.off ? 'cancelled' : 'succeeded'}>{u.off ? 'off' : 'on'}</StateChip> },
    { key: 'grants', title: 'Roles', cell: (u) => <span className="clip">{grantsText(u.grants)}</span> },
    { key: 'mail', title: 'Mail', wide: true, cell: (u) => u.mail, sort: (u) => u.mail ?? '' },
    { key: 'created', title: 'Since', width: 110, wide: true, cell: (u) => <Time at={u.created} /> },
    {
      key: 'do',
      title: <span className="vh">Actions</span>,
      width: 160,
      wide: true,
      cell: (u) => (
        <span className="actions">
          <Button perm="user.write" everywhere onClick={() => setOpen(u)}>
            Edit
          </Button>
          <Button kind="danger" perm="user.write" everywhere off={self(u) ? 'you cannot delete yourself' : ''} onClick={() => setGone(u)}>
            Delete…
          </Button>
        </span>
      ),
    },
  ]
  return (
    <Panel flush title="Users" actions={<Button kind="primary" perm="user.write" everywhere onClick={() => setOpen('new')}>New user</Button>}>
      <Loaded query={list} what="The users cannot be read">
        {({ items }) => <Table label="Users" columns={columns} rows={(items ?? []) as User[]} rowKey={(u) => u.name} rowHeight={40} onSelect={setOpen} empty={<Empty title="There is no user" cli="tutti user create anna --role default=operator" />} />}
      </Loaded>
      {open && <Edit user={open === 'new' ? undefined : open} onClose={() => setOpen(undefined)} />}
      {gone && (
        <Confirm title={`Delete the user ${gone.name}`} verb={`Delete ${gone.name}`} danger type={gone.name} busy={remove.isPending} onClose={() => setGone(undefined)} onConfirm={() => remove.mutate({ path: { name: gone.name } })}>
          <p>The sessions and tokens of {gone.name} end at once. What {gone.name} asked for goes on.</p>
        </Confirm>
      )}
    </Panel>
  )
}

function Edit({ user, onClose }: { user: User | undefined; onClose: () => void }) {
  const [name, setName] = useState('')
  const [mail, setMail] = useState(user?.mail ?? '')
  const [password, setPassword] = useState('')
  const [grants, setGrants] = useState(user ? writeGrants(user.grants) : 'default=operator')
  const [off, setOff] = useState(user?.off ?? false)
  const done = { refresh: [path] as [typeof path], quiet: true, onDone: onClose }
  const create = useAction(path, { ...done, done: 'User created' })
  const update = useAction<'/v1/users/{name}', 'patch'>('/v1/users/{name}', { ...done, method: 'patch', done: 'User changed' })
  const parsed = parseGrants(grants)
  const busy = create.isPending || update.isPending
  const error = create.error ?? update.error
  const why = typeof parsed === 'string' ? parsed : !user && !name ? 'give a name' : !user && password.length < 12 ? 'the password needs 12 characters at least' : password && password.length < 12 ? 'the password needs 12 characters at least' : ''
  const submit = () => {
    if (why || busy || typeof parsed === 'string') return
    const g = parsed as { namespace: string; role: 'viewer' }[]
    if (user) update.mutate({ path: { name: user.name }, body: { mail, grants: g, off, ...(password && { password }) } })
    else create.mutate({ body: { name, password, ...(mail && { mail }), grants: g } })
  }
  return (
    <Dialog
      title={user ? `The user ${user.name}` : 'New user'}
      onClose={onClose}
      onSubmit={submit}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" off={why} busy={busy} perm="user.write" everywhere>
            {user ? 'Change the user' : 'Create the user'}
          </Button>
        </>
      }
    >
      {error && <ErrorBox error={error} what="Nothing was changed" />}
      {!user && <Field label="Name" value={name} autoFocus autoComplete="off" pattern="^[a-z][a-z0-9._-]{0,62}$" hint="Small letters, digits, dots, dashes" onChange={(e) => setName(e.target.value)} />}
      <Field label={user ? 'New password' : 'Password'} type="password" autoComplete="new-password" hint={user ? 'Empty leaves it as it is; at least 12 characters' : 'At least 12 characters'} value={password} onChange={(e) => setPassword(e.target.value)} />
      <Field label="Mail" type="email" value={mail} onChange={(e) => setMail(e.target.value)} />
      <Field label="Roles" value={grants} onChange={(e) => setGrants(e.target.value)} error={typeof parsed === 'string' ? parsed : undefined} hint={typeof parsed === 'string' ? undefined : `${grantsText(parsed)}. A namespace and a role each, * is every namespace`} />
      {user && (
        <label className="inline">
          <input type="checkbox" checked={off} onChange={(e) => setOff(e.target.checked)} /> Off: cannot log in, tokens do not work
        </label>
      )}
    </Dialog>
  )
}
