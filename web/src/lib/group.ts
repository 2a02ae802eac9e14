/** groupBy puts what has the same key together, in the order of first appearance. */
export function groupBy<T, K>(list: readonly T[], key: (x: T) => K): Map<K, T[]> {
  const by = new Map<K, T[]>()
  for (const x of list) {
    const k = key(x)
    const of = by.get(k)
    if (of) of.push(x)
    else by.set(k, [x])
  }
  return by
}
