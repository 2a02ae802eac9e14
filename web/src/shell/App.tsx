import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useMemo, type ComponentType } from 'react'
import { client, session, ApiError } from '@/api/client'
import type { Me } from '@/api/types'
import { Skeleton, ErrorBox } from '@/kit/Boxes'
import { Page } from '@/kit/Page'
import { Toasts } from '@/kit/Toast'
import { MeContext, useCan } from '@/lib/me'
import { match, navigate, useAddress } from '@/lib/router'
import { Live } from '@/live/hooks'
import { pages, type Page as PageEntry } from '@/pages'
import { NotFound } from './NotFound'
import { Shell } from './Shell'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Events tell when something changed (live/hooks.tsx); this is for what no event tells.
      staleTime: 5_000,
      refetchOnWindowFocus: true,
      retry: (n, e) => n < 3 && (!(e instanceof ApiError) || e.status === 0 || e.status >= 500 || e.status === 429),
    },
    mutations: { retry: false },
  },
})

/** toLogin keeps where the person was, to come back to. */
function toLogin() {
  if (location.pathname === '/login') return
  queries.clear()
  navigate(`/login?next=${encodeURIComponent(location.pathname + location.search + location.hash)}`, { replace: true })
}
session.onLoggedOut = toLogin

const loaded = new Map<PageEntry, ComponentType<Record<string, string>>>()

function lazily(p: PageEntry): ComponentType<Record<string, string>> {
  let c = loaded.get(p)
  if (!c) {
    c = lazy(p.load)
    loaded.set(p, c)
  }
  return c
}

export function App() {
  return (
    <QueryClientProvider client={queries}>
      <Routes />
      <Toasts />
    </QueryClientProvider>
  )
}

function Routes() {
  const { path } = useAddress()
  if (path === '/login') {
    const entry = pages.find((p) => p.path === '/login')!
    const Login = lazily(entry)
    return (
      <Suspense>
        <Login />
      </Suspense>
    )
  }
  return <Inside path={path} />
}

/** Inside is everything that needs somebody who is logged in. */
function Inside({ path }: { path: string }) {
  const me = useQuery<Me, ApiError>({
    queryKey: ['/v1/whoami'],
    queryFn: async () => (await client.GET('/v1/whoami')).data as Me,
    staleTime: 60_000,
  })
  const found = useMemo(() => find(path), [path])
  // The page is loaded while it is asked who looks at it.
  useEffect(() => void found?.page.load().catch(() => undefined), [found])
  useEffect(() => {
    if (me.error?.status === 401) toLogin()
  }, [me.error])
  if (me.error && me.error.status !== 401 && !me.data)
    return (
      <main className="page">
        <h1>Tutti</h1>
        <ErrorBox error={me.error} what="The server does not answer" retry={() => void me.refetch()} />
      </main>
    )
  if (!me.data) return null
  return (
    <MeContext value={me.data}>
      <Live>
        <Shell>
          {found ? (
            <Suspense
              fallback={
                <main className="page">
                  <Skeleton rows={8} />
                </main>
              }
            >
              <Guarded key={found.page.path + JSON.stringify(found.params)} page={found.page} params={found.params} />
            </Suspense>
          ) : (
            <NotFound />
          )}
        </Shell>
      </Live>
    </MeContext>
  )
}

function find(path: string) {
  for (const page of pages) {
    const params = match(page.path, path)
    if (params) return { page, params }
  }
  return null
}

/** Guarded shows a page to those who may see it, and tells others which role is missing. */
function Guarded({ page, params }: { page: PageEntry; params: Record<string, string> }) {
  const allowed = useCan(page.perm)
  if (!allowed.ok)
    return (
      <Page title={page.title}>
        <div className="empty">
          <b>You may not see this page</b>
          <p className="dim">It {allowed.reason}. An administrator of the namespace can grant it in Settings, Users.</p>
        </div>
      </Page>
    )
  const C = lazily(page)
  return <C {...params} />
}
