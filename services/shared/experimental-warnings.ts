// Node.js warns at the first use of an experimental module. The operator cannot change this, and callers do without the module
// where it is missing.

let areHidden = false;

/** Prints no warnings about experimental parts of Node.js from now on. Other warnings are printed as before. */
export function hideExperimentalWarnings(): void {
  // Each further filter would look at all warnings once more.
  if (areHidden) return;
  areHidden = true;
  const printWarning = process.listeners('warning');
  process.removeAllListeners('warning').on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') for (const print of printWarning) print(warning);
  });
}
