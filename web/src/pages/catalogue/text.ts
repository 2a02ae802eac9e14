// A request as text for other ways to make it.

/** Wanted is what a form asks for. */
export interface Wanted {
  entry: string
  params: Record<string, unknown>
  title?: string | undefined
  notify?: string[] | undefined
}

/** quote makes a word of a POSIX shell, with quotes only where they are needed. */
export function quote(s: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(s) ? s : `'${s.replaceAll("'", `'\\''`)}'`
}

/** asCli returns the command that asks for the same. Values that are no text are JSON, as the command reads them. */
export function asCli(w: Wanted, ns: string): string {
  const params = Object.entries(w.params).map(([k, v]) => `-p ${quote(`${k}=${typeof v === 'string' ? v : JSON.stringify(v)}`)}`)
  return ['tutti request create', quote(w.entry), ...params, w.title && `--title ${quote(w.title)}`, ...(w.notify ?? []).map((n) => `--notify ${quote(n)}`), ns !== 'default' && `--namespace ${quote(ns)}`, '--wait']
    .filter(Boolean)
    .join(' ')
}

/** asJson returns the body of the call. */
export function asJson(w: Wanted): string {
  return JSON.stringify({ entry: w.entry, params: w.params, ...(w.title && { title: w.title }), ...(w.notify?.length && { notify: w.notify }) }, null, 2)
}

/** asCurl returns the call with curl; the token is a variable, never a value. */
export function asCurl(w: Wanted, ns: string, origin: string): string {
  return `curl -fsS ${quote(`${origin}/v1/namespaces/${ns}/requests`)} -H "Authorization: Bearer $TUTTI_TOKEN" -H 'Content-Type: application/json' -H "Idempotency-Key: $(uuidgen)" -d ${quote(asJson(w))}`
}
