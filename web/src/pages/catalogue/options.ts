import { useEffect, useState } from 'react'
import { client, type Schemas } from '@/api/client'
import { useNamespace } from '@/lib/me'
import { label, type Option } from '@/views/form/model'

type Choices = Record<string, readonly Option[]>
const none: Choices = {}

/** optionsOf puts what the server says can be chosen into the form of the form. */
export function optionsOf(o: Schemas['Options']): Choices {
  const out: Choices = {}
  for (const [field, list] of Object.entries(o.fields ?? {})) out[field] = (list ?? []).map((x) => ({ value: x.value, label: x.title || label(x.value), ...(x.off && { off: x.off }) }))
  return out
}

/**
 * useOptions returns the live choices of an entry's fields, given what was filled in so far; fields it does not name
 * have those of the schema alone. While it asks again, and where it cannot, the last answer stays.
 */
export function useOptions(entry: string, params: Record<string, unknown>): Choices {
  const ns = useNamespace()
  const [state, setState] = useState<{ of: string; choices: Choices }>({ of: '', choices: none })
  const body = JSON.stringify({ params })
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(
      () =>
        client.POST('/v1/namespaces/{namespace}/catalogue/{name}/options', { params: { path: { namespace: ns, name: entry } }, body: JSON.parse(body), signal: stop.signal }).then(
          ({ data }) => setState({ of: entry, choices: optionsOf(data as Schemas['Options']) }),
          () => undefined, // the schema's own choices serve, and the server refuses what is not permitted
        ),
      state.of === entry ? 250 : 0,
    )
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [ns, entry, body]) // eslint-disable-line -- what was answered is no reason to ask
  return state.of === entry ? state.choices : none
}
