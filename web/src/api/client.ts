// The public API, typed by the server's OpenAPI document.
import createClient, { type Middleware } from 'openapi-fetch'
import type { components, paths } from './schema'
import { learn } from '@/lib/clock'

export type Schemas = components['schemas']
export type Problem = Schemas['ErrorDocument']

/** ApiError is what the server, or the way to it, has against a call. */
export class ApiError extends Error {
  readonly status: number
  readonly kind: string
  readonly hint: string
  readonly trace: string
  readonly problems: { location?: string; message: string; hint?: string }[]

  constructor(status: number, p: Partial<Omit<Problem, 'kind'>> & { kind?: string }) {
    super(p.detail || p.title || `the server answered ${status}`)
    this.status = status
    this.kind = p.kind ?? ''
    this.hint = p.hint ?? ''
    this.trace = p.trace ?? ''
    this.problems = (p.problems ?? []) as ApiError['problems']
  }
}

/** onLoggedOut is called when the session is over. */
export const session = { onLoggedOut: () => {} }

const asked = new WeakMap<Request, number>()

const middleware: Middleware = {
  onRequest({ request }) {
    asked.set(request, Date.now())
  },
  async onResponse({ request, response }) {
    learn(response.headers.get('date'), asked.get(request) ?? Date.now())
    if (response.ok) return
    let p: Partial<Problem> = {}
    try {
      p = (await response.clone().json()) as Problem
    } catch {
      p.detail = `the server answered ${response.status} ${response.statusText}`.trim()
    }
    if (response.status === 401 && !request.url.includes('/v1/login')) session.onLoggedOut()
    throw new ApiError(response.status, p)
  },
  onError({ error }) {
    if (error instanceof ApiError || (error instanceof DOMException && error.name === 'AbortError')) return
    return new ApiError(0, { kind: 'offline', detail: 'the server cannot be reached', hint: 'check the connection; it is tried again by itself' })
  },
}

export const client = createClient<paths>({ baseUrl: location.origin })
client.use(middleware)
