// Node.js warns at the first use of its module for calls of C functions that it is experimental. The operator cannot change this, and
// callers do without it.

/** Prints no warnings about experimental parts of Node.js from now on. Other warnings are printed as before. */
export function hideExperimentalWarnings(): void {
  const printWarning = process.listeners('warning');
  process.removeAllListeners('warning').on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning') for (const print of printWarning) print(warning);
  });
}
