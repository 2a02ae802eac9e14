// How pages read and change things: useGet for what is shown, useAction for what is done.
import { useMutation, useQuery, useQueryClient, type UseQueryOptions } from '@tanstack/react-query'
import type { PathsWithMethod } from 'openapi-typescript-helpers'
import { client, type ApiError } from './client'
import type { paths } from './schema'
import { useNamespace } from '@/lib/me'
import { toast } from '@/kit/Toast'

type Op<P extends keyof paths, M extends 'get' | 'post' | 'put' | 'patch' | 'delete'> = Exclude<paths[P][M], undefined>
type ParamsOf<O, K extends string> = O extends { parameters: infer X } ? (K extends keyof X ? Exclude<X[K], undefined> : object) : object
type Answer<O> = O extends { responses: infer R }
  ? R extends { 200: { content: { 'application/json': infer T } } }
    ? T
    : R extends { 201: { content: { 'application/json': infer T } } }
      ? T
      : unknown
  : unknown
type BodyOf<O> = O extends { requestBody: { content: { 'application/json': infer B } } } ? B : undefined

export type GetPath = PathsWithMethod<paths, 'get'>
export type PostPath = PathsWithMethod<paths, 'post'>

export interface GetInit<P extends GetPath> {
  /** Values of the path, but the namespace, which is the chosen one. */
  path?: Omit<ParamsOf<Op<P, 'get'>, 'path'>, 'namespace'>
  query?: ParamsOf<Op<P, 'get'>, 'query'>
}

/** keyOf returns the query key under which useGet keeps an answer. */
export function keyOf<P extends GetPath>(ns: string, path: P, init?: GetInit<P>): unknown[] {
  return [path, ns, init ?? {}]
}

type Options<T> = Omit<UseQueryOptions<T, ApiError>, 'queryKey' | 'queryFn'>

/** fetchGet is one call, for what is no query. */
export async function fetchGet<P extends GetPath>(ns: string, path: P, init?: GetInit<P>, signal?: AbortSignal): Promise<Answer<Op<P, 'get'>>> {
  const call = client.GET as unknown as (p: string, o: object) => Promise<{ data: Answer<Op<P, 'get'>> }>
  const { data } = await call(path, { params: { path: { namespace: ns, ...init?.path }, query: init?.query }, signal })
  return data
}

/** useGet reads path, fills in the namespace, and keeps the answer fresh as queries are. */
export function useGet<P extends GetPath>(path: P, init?: GetInit<P>, options?: Options<Answer<Op<P, 'get'>>>) {
  const ns = useNamespace()
  return useQuery<Answer<Op<P, 'get'>>, ApiError>({
    queryKey: keyOf(ns, path, init),
    queryFn: ({ signal }) => fetchGet(ns, path, init, signal),
    ...options,
  } as UseQueryOptions<Answer<Op<P, 'get'>>, ApiError>)
}

type Method = 'post' | 'put' | 'patch' | 'delete'
type ActionPath<M extends Method> = PathsWithMethod<paths, M>

export interface ActionInput<P extends keyof paths, M extends Method> {
  path?: Omit<ParamsOf<Op<P, M>, 'path'>, 'namespace'>
  query?: ParamsOf<Op<P, M>, 'query'>
  body?: BodyOf<Op<P, M>>
  /** Idempotency key; a fresh one for each call by default. */
  key?: string
}

export interface ActionOptions<P extends keyof paths, M extends Method> {
  /** What is said when it is done: "Request cancelled". */
  done?: string | ((out: Answer<Op<P, M>>) => string)
  onDone?: (out: Answer<Op<P, M>>) => void
  /** Paths whose answers are read again. */
  refresh?: GetPath[]
  /** Says itself what went wrong, instead of a toast. */
  quiet?: boolean
}

/**
 * useAction changes something by a POST (or another method): `const cancel = useAction('/v1/…/cancel',
 * {done: 'Run cancelled'})`, then `cancel.mutate({path: {id}, body: {}})`. Repeating is safe: every call
 * has an idempotency key. Nothing is shown as done before the server said so.
 */
export function useAction<P extends ActionPath<M>, M extends Method = 'post'>(path: P, o: ActionOptions<P, M> & { method?: M } = {}) {
  const ns = useNamespace()
  const queries = useQueryClient()
  return useMutation<Answer<Op<P, M>>, ApiError, ActionInput<P, M>>({
    mutationFn: async (input) => {
      const call = client[(o.method ?? 'post').toUpperCase() as 'POST'] as unknown as (
        p: string,
        o: object,
      ) => Promise<{ data: Answer<Op<P, M>> }>
      const { data } = await call(path as string, {
        params: { path: { namespace: ns, ...input.path }, query: input.query, header: { 'Idempotency-Key': input.key ?? crypto.randomUUID() } },
        body: input.body,
      })
      return data
    },
    onSuccess: (out) => {
      for (const p of o.refresh ?? []) void queries.invalidateQueries({ queryKey: [p] })
      if (o.done) toast(typeof o.done === 'function' ? o.done(out) : o.done)
      o.onDone?.(out)
    },
    onError: (e) => {
      if (!o.quiet) toast(e.message + (e.hint ? `. ${e.hint}` : ''), 'failed')
    },
  })
}
