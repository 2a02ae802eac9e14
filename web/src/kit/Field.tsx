import { useId, type InputHTMLAttributes, type ReactNode, type SelectHTMLAttributes } from 'react'

interface Common {
  label: ReactNode
  hint?: ReactNode
  error?: string | undefined
}

/** Field is an input with its label, hint and what is wrong with it. */
export function Field({ label, hint, error, ...rest }: Common & InputHTMLAttributes<HTMLInputElement>) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input {...rest} id={id} aria-invalid={error ? true : undefined} aria-describedby={hint || error ? `${id}-h` : undefined} />
      {(hint || error) && (
        <small id={`${id}-h`} className={error ? 'err' : 'dim'}>
          {error || hint}
        </small>
      )}
    </div>
  )
}

/** SelectField is a choice with its label. options are values, or [value, label]. */
export function SelectField({ label, hint, error, options, ...rest }: Common & SelectHTMLAttributes<HTMLSelectElement> & { options: (string | [string, string])[] }) {
  const id = useId()
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <select {...rest} id={id} aria-invalid={error ? true : undefined} aria-describedby={hint || error ? `${id}-h` : undefined}>
        {options.map((o) => {
          const [v, l] = typeof o === 'string' ? [o, o] : o
          return (
            <option key={v} value={v}>
              {l}
            </option>
          )
        })}
      </select>
      {(hint || error) && (
        <small id={`${id}-h`} className={error ? 'err' : 'dim'}>
          {error || hint}
        </small>
      )}
    </div>
  )
}
