import { preference } from './store'

/** theme is what the person chose: "" follows the system. theme.js applies it before the first paint. */
export const theme = preference('theme', '')

const system = matchMedia('(prefers-color-scheme: dark)')

function apply() {
  const dark = theme.get() ? theme.get() === 'dark' : system.matches
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
}
theme.subscribe(apply)
system.addEventListener('change', apply)
