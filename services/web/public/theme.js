// Before anything is painted, so that no light page flashes in the dark.
(function () {
  var chosen = null;
  try {
    chosen = localStorage.getItem('weir.theme');
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  var dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
