import { useEffect, useState, type FormEvent } from 'react'
import { useQueryClient } from '@tanstack/react-query'
import { ApiError, client } from '@/api/client'
import { Button } from '@/kit/Button'
import { ErrorBox } from '@/kit/Boxes'
import { Field } from '@/kit/Field'
import { navigate, useAddress } from '@/lib/router'

/** target returns where to go after logging in: an address of this UI, never of another site. */
function target(next: string | null): string {
  if (!next?.startsWith('/') || next.startsWith('//') || next.startsWith('/login')) return '/'
  const u = new URL(next, location.origin)
  return u.origin === location.origin ? u.pathname + u.search + u.hash : '/'
}

/** Login is where people come in: with a password, with a link that the demo printed, or, the first of all, with the bootstrap token. */
export default function Login() {
  const { query, hash } = useAddress()
  const [first, setFirst] = useState<boolean | null>(null)
  const [error, setError] = useState<ApiError | null>(null)
  const [busy, setBusy] = useState(false)
  const queries = useQueryClient()
  const enter = async (call: () => Promise<unknown>) => {
    setBusy(true)
    setError(null)
    try {
      await call()
      queries.clear()
      navigate(target(query.get('next')), { replace: true })
    } catch (e) {
      setError(e as ApiError)
      setBusy(false)
    }
  }
  useEffect(() => {
    document.title = 'Log in · Tutti'
    const secret = new URLSearchParams(hash).get('link')
    if (secret) {
      history.replaceState(null, '', '/login') // it works once: it must not stay in the address
      void enter(() => client.POST('/v1/login-links/follow', { body: { secret } }))
    }
    client.GET('/v1/bootstrap').then(
      (r) => setFirst(!!r.data?.open),
      () => setFirst(false),
    )
  }, [])
  return (
    <main className="login" id="main">
      <h1 className="brand">Tutti</h1>
      {first ? <FirstUse enter={enter} busy={busy} error={error} /> : <Password enter={enter} busy={busy} error={error} />}
    </main>
  )
}

interface FormProps {
  enter: (call: () => Promise<unknown>) => Promise<void>
  busy: boolean
  error: ApiError | null
}

const text = (f: FormData, name: string) => String(f.get(name) ?? '')

function Password({ enter, busy, error }: FormProps) {
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault()
    const f = new FormData(e.currentTarget)
    void enter(() => client.POST('/v1/login', { body: { user: text(f, 'user'), password: text(f, 'password') } }))
  }
  return (
    <form className="panel pad" onSubmit={submit}>
      <h2>Log in</h2>
      <Field label="User" name="user" autoComplete="username" autoCapitalize="none" spellCheck={false} required autoFocus />
      <Field label="Password" name="password" type="password" autoComplete="current-password" required />
      {error && <ErrorBox error={error} what={error.status === 401 ? 'Not logged in' : 'Logging in failed'} />}
      <Button type="submit" kind="primary" busy={busy}>
        Log in
      </Button>
    </form>
  )
}

function FirstUse({ enter, busy, error }: FormProps) {
  const [wrong, setWrong] = useState('')
  const submit = (e: FormEvent<HTMLFormElement>) => {
    e.preventDefault()
    const f = new FormData(e.currentTarget)
    const password = text(f, 'password')
    if (password !== text(f, 'again')) {
      setWrong('the two passwords differ')
      return
    }
    setWrong('')
    const mail = text(f, 'mail')
    void enter(() => client.POST('/v1/bootstrap', { body: { token: text(f, 'token').trim(), user: text(f, 'user'), password, ...(mail ? { mail } : {}) } }))
  }
  return (
    <form className="panel pad" onSubmit={submit}>
      <h2>Make the first administrator</h2>
      <p className="dim">
        Nobody can log in yet. The server wrote a one-time token into the file <code>bootstrap-token</code> of its data folder; whoever can read that may make the first administrator.
      </p>
      <Field label="Bootstrap token" name="token" type="password" autoComplete="off" required autoFocus hint="cat tutti-data/bootstrap-token" />
      <Field label="User" name="user" autoComplete="username" autoCapitalize="none" spellCheck={false} required pattern="[a-z][a-z0-9._\-]{0,62}" title="Small letters, digits, and . _ -" />
      <Field label="Mail (optional)" name="mail" type="email" autoComplete="email" />
      <Field label="Password" name="password" type="password" autoComplete="new-password" required minLength={12} hint="At least 12 characters" />
      <Field label="Password again" name="again" type="password" autoComplete="new-password" required minLength={12} error={wrong} />
      {error && <ErrorBox error={error} what="No administrator was made" />}
      <Button type="submit" kind="primary" busy={busy}>
        Make administrator and log in
      </Button>
    </form>
  )
}
