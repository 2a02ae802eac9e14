import { store, useStore } from '@/lib/store'

interface Message {
  id: number
  text: string
  state: string
}

const messages = store<Message[]>([])
let next = 0

/** toast says something for a few seconds: that something was done, or (state failed) why not. */
export function toast(text: string, state = 'succeeded'): void {
  const m = { id: next++, text, state }
  messages.set([...messages.get().slice(-3), m])
  setTimeout(() => dismiss(m.id), state === 'failed' ? 9000 : 4000)
}

function dismiss(id: number) {
  messages.set(messages.get().filter((m) => m.id !== id))
}

/** Toasts is where toasts appear; the shell has it once. */
export function Toasts() {
  const all = useStore(messages)
  return (
    <div className="toasts" role="status">
      {all.map((m) => (
        <button type="button" key={m.id} className="toast" data-state={m.state} onClick={() => dismiss(m.id)} title="Dismiss">
          {m.text}
        </button>
      ))}
    </div>
  )
}
