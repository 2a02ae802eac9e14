import { copy } from '@/lib/copy'
import { Button } from './Button'

/** Json shows a value as JSON, with a button that copies it. */
export function Json({ value, label }: { value: unknown; label: string }) {
  const text = JSON.stringify(value, null, 2) ?? ''
  return (
    <div className="jsonbox">
      <Button kind="quiet" className="corner" onClick={() => void copy(text)}>
        Copy
      </Button>
      <pre className="code pre" role="region" tabIndex={0} aria-label={label}>
        {text}
      </pre>
    </div>
  )
}
