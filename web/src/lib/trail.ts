// The language in which events and the audit trail are searched: words and key:value. The server reads it;
// here its parts are set and taken away.

/** part returns the value of a key in a query; "" where it is not there. */
export function part(query: string, key: string): string {
  return words(query).find((w) => w.startsWith(key + ':'))?.slice(key.length + 1) ?? ''
}

/** withPart returns a query with the value of a key set; an empty value takes it away. */
export function withPart(query: string, key: string, value: string): string {
  const rest = words(query).filter((w) => !w.startsWith(key + ':'))
  return [...rest, ...(value ? [`${key}:${value}`] : [])].join(' ')
}

/** words splits a query at spaces, but not within quotes. */
export function words(query: string): string[] {
  return query.match(/"[^"]*"?|[^\s"]\S*/g) ?? []
}
