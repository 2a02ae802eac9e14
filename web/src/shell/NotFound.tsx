import { Page } from '@/kit/Page'
import { useAddress } from '@/lib/router'
import { Button } from '@/kit/Button'
import { focusSearch } from './Search'

/** NotFound is shown at addresses where nothing is; it looks for the last part of the address. */
export function NotFound() {
  const { path } = useAddress()
  const id = decodeURIComponent(path.split('/').filter(Boolean).at(-1) ?? '')
  return (
    <Page title="Nothing is here">
      <div className="empty">
        <b>There is no page at {path}</b>
        <p className="dim">It may be in another namespace, or the address is not complete.</p>
        <Button onClick={() => focusSearch(id)}>Search for {id}</Button>
      </div>
    </Page>
  )
}
