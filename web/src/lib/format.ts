// How figures are written, alike everywhere.

const pad = (n: number) => String(n).padStart(2, '0')

/** duration writes milliseconds as 0.4s, 18s, 4m 41s, 2h 05m, 3d 4h. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return ''
  if (ms < 950) return `${Number((ms / 1000).toFixed(ms < 95 ? 2 : 1))}s`
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s}s`
  const m = Math.floor(s / 60)
  if (m < 60) return `${m}m ${pad(s % 60)}s`
  const h = Math.floor(m / 60)
  if (h < 48) return `${h}h ${pad(m % 60)}m`
  return `${Math.floor(h / 24)}d ${h % 24}h`
}

/** ago writes how long ago something was, or how long until it is. */
export function ago(ms: number): string {
  if (ms < 0) return `in ${duration(-ms)}`
  if (ms < 5000) return 'just now'
  const s = Math.round(ms / 1000)
  if (s < 60) return `${s}s ago`
  if (s < 3600) return `${Math.floor(s / 60)} min ago`
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`
  return `${Math.floor(s / 86400)} d ago`
}

/** clock writes a time as 08:52:11, with the day where that is not today's. */
export function clock(at: number, today: number): string {
  const d = new Date(at)
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`
  if (new Date(today).toDateString() === d.toDateString()) return time
  return `${d.getDate()} ${d.toLocaleString('en', { month: 'short' })} ${time}`
}

/** full writes a time in full, as tooltips show it. */
export function full(at: number): string {
  const d = new Date(at)
  const zone = -d.getTimezoneOffset()
  const sign = zone < 0 ? '−' : '+'
  const z = zone === 0 ? 'UTC' : `UTC${sign}${pad(Math.floor(Math.abs(zone) / 60))}:${pad(Math.abs(zone) % 60)}`
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())} ${z}`
}

/** count writes 1 task, 3 tasks. */
export function count(n: number, one: string, many = one + 's'): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`
}

/** person writes who it was: user:anna as anna, role:approver as the role approver, service:request as the service request, and run:ID short. */
export function person(subject: string | undefined): string {
  const [kind, ...rest] = (subject ?? '').split(':')
  const name = rest.join(':')
  if (!name) return subject ?? ''
  if (kind === 'user') return name
  if (kind === 'run') return short(name)
  return kind === 'role' || kind === 'service' ? `the ${kind} ${name}` : subject!
}

/** short cuts a long ID for display: req_7k2mabcd. Copying gives all of it. */
export function short(id: string): string {
  const [kind, rest] = id.split('_')
  if (rest && rest.length > 8) return `${kind}_${rest.slice(0, 8)}`
  return id.length > 12 ? id.slice(0, 10) : id
}

/** bytes writes 1.2 MB. */
export function bytes(n: number): string {
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (n < 1000 || unit === 'GB') return `${unit === 'B' ? n : n.toFixed(n < 10 ? 1 : 0)} ${unit}`
    n /= 1000
  }
  return ''
}

/** milliseconds reads a duration of the API, such as "1m30s". */
export function milliseconds(d: string | undefined): number {
  const unit: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  return [...(d ?? '').matchAll(/(\d+)(ms|s|m|h|d)/g)].reduce((n, m) => n + Number(m[1]) * (unit[m[2]!] ?? 0), 0)
}
