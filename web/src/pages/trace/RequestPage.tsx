import { TracePage } from './TracePage'

/** RequestPage is /requests/:id. */
export default function RequestPage({ id = '' }: Record<string, string>) {
  return <TracePage key={id} id={id} kind="request" />
}
