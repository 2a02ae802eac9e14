import { Page, Tabs, type Tab } from '@/kit'
import { useCan } from '@/lib/me'
import { useQueryParam } from '@/lib/router'
import { Namespaces } from './Namespaces'
import { Preferences } from './Preferences'
import { Roles } from './Roles'
import { Secrets } from './Secrets'
import { Tokens } from './Tokens'
import { Users } from './Users'
import './settings.css'

const parts: (Tab & { cli: string })[] = [
  { id: 'you', label: 'You', cli: 'tutti whoami' },
  { id: 'tokens', label: 'Tokens', cli: 'tutti token list' },
  { id: 'users', label: 'Users', cli: 'tutti user list' },
  { id: 'roles', label: 'Roles', cli: 'tutti whoami' },
  { id: 'secrets', label: 'Secrets', cli: 'tutti secret list' },
  { id: 'namespaces', label: 'Namespaces', cli: 'tutti namespace list' },
]

/** Settings holds what is about people and about this browser. */
export default function Settings() {
  const [tab, setTab] = useQueryParam('tab', 'you')
  const at = parts.find((p) => p.id === tab) ?? parts[0]!
  const users = useCan('user.read', true)
  const secrets = useCan('secret.list')
  return (
    <Page title="Settings" cli={at.cli}>
      <Tabs label="Settings" tabs={parts} value={at.id} onChange={(id) => setTab(id, { push: true })} keys>
        {at.id === 'you' && <Preferences />}
        {at.id === 'tokens' && <Tokens />}
        {at.id === 'users' && (users.ok ? <Users /> : <NotYours what="The list of users" why={users.reason} />)}
        {at.id === 'roles' && <Roles />}
        {at.id === 'secrets' && (secrets.ok ? <Secrets /> : <NotYours what="The list of secrets" why={secrets.reason} />)}
        {at.id === 'namespaces' && <Namespaces />}
      </Tabs>
    </Page>
  )
}

function NotYours({ what, why }: { what: string; why: string }) {
  return (
    <div className="empty">
      <b>{what} is not yours to see</b>
      <p className="dim">It {why}. An administrator of the namespace can grant it.</p>
    </div>
  )
}
