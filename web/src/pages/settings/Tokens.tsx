import { useState } from 'react'
import type { Schemas } from '@/api/client'
import { useAction, useGet } from '@/api/hooks'
import { Button, Confirm, Dialog, Empty, Field, Glyph, Loaded, Panel, SelectField, Table, Time, type Column } from '@/kit'
import { copy } from '@/lib/copy'
import { useNow } from '@/lib/clock'
import { person } from '@/lib/format'
import { useMe, useNamespace } from '@/lib/me'
import { grantsText, rolesUpTo } from './grants'

type Token = Schemas['Token']
const path = '/v1/tokens'

/** Tokens are for programs: each has a name, grants and an end. Its secret is shown once. */
export function Tokens() {
  const list = useGet(path)
  const now = useNow()
  const [adding, setAdding] = useState(false)
  const [fresh, setFresh] = useState<Token>()
  const [gone, setGone] = useState<Token>()
  const revoke = useAction<'/v1/tokens/{id}', 'delete'>('/v1/tokens/{id}', { method: 'delete', done: 'Token revoked', refresh: [path], onDone: () => setGone(undefined) })
  const columns: Column<Token>[] = [
    { key: 'name', title: 'Name', cell: (t) => <b>{t.name}</b>, sort: (t) => t.name },
    { key: 'user', title: 'Of', width: 110, cell: (t) => person(t.user), sort: (t) => t.user },
    { key: 'grants', title: 'May', wide: true, cell: (t) => <span className="clip">{grantsText(t.grants)}</span> },
    { key: 'used', title: 'Last used', width: 110, wide: true, cell: (t) => <Time at={t.used} /> },
    { key: 'expires', title: 'Ends', width: 110, cell: (t) => (t.expires && Date.parse(t.expires) < now ? <span className="err">expired</span> : <Time at={t.expires} />) },
    { key: 'do', title: <span className="vh">Actions</span>, width: 96, cell: (t) => <Button kind="danger" onClick={() => setGone(t)}>Revoke…</Button> },
  ]
  return (
    <Panel flush title="API tokens" actions={<Button kind="primary" onClick={() => setAdding(true)}>New token</Button>}>
      <Loaded query={list} what="The tokens cannot be read">
        {({ items }) => (
          <Table
            label="API tokens"
            columns={columns}
            rows={(items ?? []) as Token[]}
            rowKey={(t) => t.id}
            rowHeight={40}
            empty={
              <Empty title="There is no token" cli="tutti token create ci">
                A program logs in with a token instead of a password.
              </Empty>
            }
          />
        )}
      </Loaded>
      {adding && (
        <NewToken
          onClose={() => setAdding(false)}
          onMade={(t) => {
            setAdding(false)
            setFresh(t)
          }}
        />
      )}
      {fresh && <Secret token={fresh} onClose={() => setFresh(undefined)} />}
      {gone && (
        <Confirm title={`Revoke the token ${gone.name}`} verb="Revoke the token" danger busy={revoke.isPending} onClose={() => setGone(undefined)} onConfirm={() => revoke.mutate({ path: { id: gone.id } })}>
          <p>What logs in with it is refused at once. It cannot be taken back; a new token has another secret.</p>
        </Confirm>
      )}
    </Panel>
  )
}

function NewToken({ onClose, onMade }: { onClose: () => void; onMade: (t: Token) => void }) {
  const me = useMe()
  const ns = useNamespace()
  const [name, setName] = useState('')
  const [role, setRole] = useState('')
  const [expires, setExpires] = useState('90d')
  const create = useAction(path, { refresh: [path], onDone: (t) => onMade(t as Token), quiet: true })
  const body = { name, expires, ...(role && { grants: [{ namespace: ns, role: role as 'viewer' }] }) }
  return (
    <Dialog
      title="New API token"
      onClose={onClose}
      onSubmit={() => name && !create.isPending && create.mutate({ body })}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" kind="primary" off={name ? '' : 'give it a name'} busy={create.isPending}>
            Create the token
          </Button>
        </>
      }
    >
      <Field label="Name" hint="What it is for, such as ci" value={name} maxLength={100} autoFocus onChange={(e) => setName(e.target.value)} error={create.error?.message} />
      <SelectField label="May" value={role} onChange={(e) => setRole(e.target.value)} options={[['', 'all that you may, always'], ...rolesUpTo(me, ns).map((r): [string, string] => [r, `what a ${r} may in ${ns}`])]} />
      <SelectField label="Valid for" value={expires} onChange={(e) => setExpires(e.target.value)} options={[['7d', '7 days'], ['30d', '30 days'], ['90d', '90 days'], ['365d', 'a year']]} />
    </Dialog>
  )
}

function Secret({ token, onClose }: { token: Token; onClose: () => void }) {
  return (
    <Dialog title={`The token ${token.name}`} onClose={onClose} foot={<Button kind="primary" onClick={onClose}>I have kept it</Button>}>
      <p>
        <Glyph state="waiting" /> This is the only time its secret is shown.
      </p>
      <pre className="code pre wrapped" tabIndex={0} role="region" aria-label="Secret of the token">
        {token.secret}
      </pre>
      <div>
        <Button onClick={() => void copy(token.secret ?? '', 'Token copied')}>Copy</Button>
      </div>
    </Dialog>
  )
}
