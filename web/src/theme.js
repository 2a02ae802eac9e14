// Runs before the first paint, so that no page flashes in the wrong colours. Kept in localStorage:
// theme = "light" | "dark"; absent follows the system.
(function () {
  var theme = null
  try {
    theme = localStorage.getItem('theme')
  } catch (e) {
    // Storage is off: the system decides.
  }
  var dark = theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.dataset.theme = dark ? 'dark' : 'light'
})()
