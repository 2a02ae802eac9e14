import { Button, Facts, Panel, Tag } from '@/kit'
import { useAction } from '@/api/hooks'
import { absolute } from '@/lib/clock'
import { person } from '@/lib/format'
import { keysOff } from '@/lib/keys'
import { useMe } from '@/lib/me'
import { useStore, type Store } from '@/lib/store'
import { session } from '@/api/client'
import { theme } from '@/lib/theme'

/** Preferences are who one is, and what this browser remembers. */
export function Preferences() {
  const me = useMe()
  const logout = useAction('/v1/logout', { onDone: () => session.onLoggedOut() })
  return (
    <>
      <Panel title={person(me.subject)} actions={<Button onClick={() => logout.mutate({})}>Log out</Button>}>
        <Facts
          items={[
            ['Subject', <code key="s">{me.subject}</code>],
            ...(me.grants ?? []).map((g): [string, React.ReactNode] => [g.namespace === '*' ? 'In every namespace' : `In ${g.namespace}`, <Tag key={g.namespace}>{g.role}</Tag>]),
          ]}
        />
      </Panel>
      <Panel title="This browser">
        <div className="prefs">
          <Choice label="Theme" of={theme} options={[['', 'As the system'], ['light', 'Light'], ['dark', 'Dark']]} />
          <Choice label="Times" of={absolute} options={[['', 'Relative: 3 min ago'], ['on', 'Absolute: 08:52:11']]} />
          <Choice label="Single-key shortcuts" of={keysOff} options={[['', 'On'], ['off', 'Off']]} />
        </div>
        <p className="dim small">
          <kbd>?</kbd> lists the keys of a page.
        </p>
      </Panel>
    </>
  )
}

function Choice({ label, of, options }: { label: string; of: Store<string>; options: [string, string][] }) {
  const value = useStore(of)
  return (
    <fieldset className="choice">
      <legend>{label}</legend>
      {options.map(([v, l]) => (
        <label key={v}>
          <input type="radio" name={label} checked={value === v} onChange={() => of.set(v)} /> {l}
        </label>
      ))}
    </fieldset>
  )
}
