import { Panel } from '@/kit'
import { roleFor } from '@/api/roles'
import { groupBy } from '@/lib/group'
import { roles } from './grants'

const what: Record<string, string> = {
  viewer: 'reads',
  worker: 'takes work from pools: for tokens of remote workers',
  approver: 'decides approvals',
  operator: 'asks, starts, cancels, retries',
  author: 'publishes definitions, and what an operator may',
  admin: 'everything in the namespace',
}

/** Roles says what each role may do. They are built in, and held per namespace. */
export function Roles() {
  const first = groupBy(Object.entries(roleFor), ([, role]) => role as string)
  return (
    <Panel flush title="Roles">
      <table className="table roles">
        <thead>
          <tr>
            <th scope="col">Role</th>
            <th scope="col">What it may</th>
          </tr>
        </thead>
        <tbody>
          {roles.map((r) => (
            <tr key={r}>
              <th scope="row">{r}</th>
              <td>
                <b>{what[r]}</b>
                <br />
                <span className="dim small">first to hold: {(first.get(r) ?? []).map(([p]) => p).join(', ') || 'nothing of its own'}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  )
}
