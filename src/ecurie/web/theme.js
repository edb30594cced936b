// Before anything is drawn, so that a chosen theme does not flash. A page that may keep nothing follows the system.
try {
  const theme = localStorage.getItem('ecurie.theme');
  if (theme) document.documentElement.dataset.theme = JSON.parse(theme);
} catch {}
