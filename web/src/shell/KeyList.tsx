import { Dialog } from '@/kit/Dialog'
import { Button } from '@/kit/Button'
import { keysOff, registered } from '@/lib/keys'
import { useStore } from '@/lib/store'

/** KeyList shows every key there is on this page. */
export function KeyList({ onClose }: { onClose: () => void }) {
  const all = useStore(registered)
  const off = useStore(keysOff)
  const groups = [...new Set(all.map((k) => k.group ?? 'Page'))]
  return (
    <Dialog title="Keyboard" onClose={onClose} wide foot={<Button onClick={() => keysOff.set(off ? '' : 'off')}>{off ? 'Turn single keys on' : 'Turn single keys off'}</Button>}>
      <div className="keylist">
        {groups.map((g) => (
          <section key={g}>
            <h3>{g}</h3>
            <dl>
              {all
                .filter((k) => (k.group ?? 'Page') === g)
                .map((k) => (
                  <div key={k.keys + k.does}>
                    <dt>
                      {k.keys.split(' ').map((x) => (
                        <kbd key={x}>{x}</kbd>
                      ))}
                    </dt>
                    <dd>{k.does}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  )
}
