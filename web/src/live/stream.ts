// One stream of events a tab, whatever is shown: browsers allow six connections to a server, so panels
// share one. It is read with fetch, to see its status and the server's signs of life. What comes is
// handed out once per animation frame, and held back while frozen.
import { learn, now } from '@/lib/clock'
import { store } from '@/lib/store'
import { session } from '@/api/client'

/** Message is one event of a topic; type is "run", "log", "event" or "end". */
export interface Message {
  topic: string
  type: string
  data: unknown
}

export type Follower = (batch: Message[]) => void

/** live is how the stream is: "" while nothing is followed, and since when it is lost. */
export const live = store<{ state: '' | 'connected' | 'lost'; asOf: number }>({ state: '', asOf: 0 })

/** frozen holds updates back (key u); held is how many wait. */
export const frozen = store(false)
export const held = store(0)

const beat = 15_000 // how often the server says that it is still here
const silence = 2.5 * beat

interface Topic {
  followers: Set<Follower>
  /** Number after which it starts, for one that was never read: that of the snapshot. */
  from?: number
  over: boolean
}

export class LiveStream {
  private topics = new Map<string, Topic>()
  private cursor = ''
  private abort: AbortController | undefined
  private proven = new Set<string>() // topics that the server took
  private queue: Message[] = []
  private frame = 0
  private restart: ReturnType<typeof setTimeout> | undefined
  private tries = 0

  constructor(readonly namespace: string) {
    this.unfreeze = frozen.subscribe(() => !frozen.get() && this.flush())
  }
  private unfreeze: () => void

  /** follow calls f with what happens in a topic: "events", "run:ID", "log:ID". It returns how to stop. */
  follow(topic: string, f: Follower, from?: number): () => void {
    let t = this.topics.get(topic)
    if (!t) {
      t = { followers: new Set(), over: false, ...(from === undefined ? {} : { from }) }
      this.topics.set(topic, t)
      this.later(0)
    }
    const mine = t
    mine.followers.add(f)
    return () => {
      mine.followers.delete(f)
      // A page that is drawn again follows at once what it left: only then is a topic let go.
      setTimeout(() => {
        if (mine.followers.size === 0 && this.topics.get(topic) === mine) {
          this.topics.delete(topic)
          this.proven.delete(topic)
          if (!mine.over) this.later(1000)
        }
      }, 500)
    }
  }

  close(): void {
    this.unfreeze()
    this.topics.clear()
    clearTimeout(this.restart)
    this.abort?.abort()
  }

  /** later opens the stream anew, with the topics there are then. */
  private later(ms: number): void {
    clearTimeout(this.restart)
    this.restart = setTimeout(() => void this.open(), ms)
  }

  private async open(): Promise<void> {
    this.abort?.abort()
    const abort = new AbortController()
    this.abort = abort
    const topics = [...this.topics].filter(([, t]) => !t.over)
    if (topics.length === 0) {
      live.set({ state: '', asOf: now() })
      return
    }
    const query = new URLSearchParams()
    for (const [name, t] of topics.slice(0, 20)) query.append('topic', t.from === undefined ? name : `${name}@${t.from}`)
    if (this.cursor) query.set('after', this.cursor)
    let watchdog: ReturnType<typeof setTimeout> | undefined
    const alive = () => {
      clearTimeout(watchdog)
      watchdog = setTimeout(() => abort.abort('silent'), silence)
    }
    try {
      alive()
      const asked = Date.now()
      const r = await fetch(`/v1/namespaces/${encodeURIComponent(this.namespace)}/stream?${query}`, { signal: abort.signal })
      learn(r.headers.get('date'), asked)
      if (!r.ok || !r.body) {
        this.refused(r.status, topics.map(([n]) => n))
        return
      }
      for (const [n] of topics) this.proven.add(n)
      this.tries = 0
      live.set({ state: 'connected', asOf: now() })
      await this.read(r.body, alive)
      if (this.abort === abort) this.lost(0) // the server ended it: it stops, or all topics are over
    } catch {
      if (this.abort === abort) this.lost()
    } finally {
      clearTimeout(watchdog)
    }
  }

  /** lost opens the stream again after a while that grows. */
  private lost(ms = Math.min(15_000, 500 * 2 ** this.tries++)): void {
    if (live.get().state !== 'lost') live.set({ state: 'lost', asOf: now() })
    this.later(ms || 300)
  }

  private refused(status: number, topics: string[]): void {
    if (status === 401) {
      session.onLoggedOut()
      return
    }
    const fresh = topics.filter((t) => !this.proven.has(t))
    if ((status === 404 || status === 403 || status === 422) && this.cursor && fresh.length === 0) {
      this.cursor = '' // of another installation's life
    } else if (status === 404 || status === 403 || status === 422) {
      for (const t of fresh) {
        const gone = this.topics.get(t)
        if (gone) gone.over = true
      }
    }
    this.lost()
  }

  private async read(body: ReadableStream<Uint8Array>, alive: () => void): Promise<void> {
    const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
    let rest = ''
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      alive()
      const parts = (rest + value).split('\n\n')
      rest = parts.pop() ?? ''
      for (const p of parts) this.take(p)
      if (live.get().state === 'lost') live.set({ state: 'connected', asOf: now() })
    }
  }

  private take(block: string): void {
    let id = ''
    let type = ''
    let data = ''
    for (const line of block.split('\n')) {
      if (line.startsWith('id: ')) id = line.slice(4)
      else if (line.startsWith('event: ')) type = line.slice(7)
      else if (line.startsWith('data: ')) data += line.slice(6)
    }
    if (!data || type === 'error') return
    const m = JSON.parse(data) as { topic: string; data: unknown }
    if (id) this.cursor = id
    const t = this.topics.get(m.topic)
    if (!t) return
    delete t.from // the cursor knows from now on
    if (type === 'end') t.over = true
    this.queue.push({ topic: m.topic, type, data: m.data })
    if (frozen.get()) held.set(this.queue.length)
    else this.plan()
  }

  /** plan hands out what came with the next frame; a hidden tab has none, so a timer does it there. */
  private plan(): void {
    if (this.frame) return
    const run = () => {
      this.frame = 0
      if (!frozen.get()) this.flush()
    }
    this.frame = document.hidden ? (setTimeout(run, 300) as unknown as number) : requestAnimationFrame(run)
  }

  private flush(): void {
    const batch = this.queue
    this.queue = []
    held.set(0)
    const by = new Map<string, Message[]>()
    for (const m of batch) {
      const list = by.get(m.topic)
      if (list) list.push(m)
      else by.set(m.topic, [m])
    }
    for (const [topic, list] of by) {
      for (const f of this.topics.get(topic)?.followers ?? []) f(list)
    }
  }
}
