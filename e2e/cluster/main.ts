// `npm run e2e:cluster`: tests the charts on a real cluster. `--help` describes the options.
import { createChecks } from '../../testing/checks.ts';
import { describeError } from '../../services/shared/errors.ts';
import { startFleet } from './fleet.ts';
import { type ClusterNetwork, createClusterNetwork } from './network.ts';
import { buildAll, loadAll } from './images.ts';
import { checkHubs } from './hub.ts';
import { HUB_VALUES } from './hub-release.ts';
import { checkInstalls } from './installs.ts';
import { checkLeftovers } from './leftovers.ts';
import { HELP, type Options, readOptions, type Scenario } from './options.ts';
import { checkOutside } from './outside.ts';
import { checkSecrets } from './secrets.ts';
import { provideStorage } from './storage.ts';
import { missingTools } from './tools.ts';
import { checkCrash, checkUpgrade } from './upgrade.ts';

const checks = createChecks((text) => void process.stdout.write(text));

async function main(options: Options): Promise<void> {
  const runs = (scenario: Scenario): boolean => options.only.length === 0 || options.only.includes(scenario);
  const { load } = options;
  if (load !== undefined || options.build) {
    const built = await checks.check('the images build and load into the nodes', async () => {
      const images = await buildAll(checks.report);
      if (load !== undefined && !options.build) await loadAll(images, load);
      return images.join(', ');
    });
    if (!built || options.build) return;
  }
  // Only hubs require volumes.
  const storage = runs('installs') || runs('hub') ? await provideStorage() : undefined;
  if (storage?.made !== undefined)
    checks.report(`the cluster has no default storage class; made one: ${storage.made}`);
  try {
    if (runs('installs')) await checkInstalls(checks, options);
    if (runs('secrets')) await checkSecrets(checks, options);
    if ((['outside', 'upgrade', 'crash', 'leftovers'] as const).some(runs)) await checkNetwork(options, runs);
    if (runs('hub')) await checkHubNetwork(options);
  } finally {
    await storage?.remove();
  }
}

async function checkHubNetwork(options: Options): Promise<void> {
  let network: ClusterNetwork | undefined;
  await checks.check('a network with the hubs of two users installs and becomes ready', async () => {
    network = await createClusterNetwork(options, HUB_VALUES);
  });
  if (network === undefined) return;
  try {
    await checkHubs(checks, network);
  } finally {
    await network.close();
  }
}

/** Runs the scenarios with devices outside the cluster. They share one network. */
async function checkNetwork(options: Options, runs: (scenario: Scenario) => boolean): Promise<void> {
  let network: ClusterNetwork | undefined;
  await checks.check('a network for devices outside installs, and its notes have the addresses', async () => {
    network = await createClusterNetwork(options);
    return network.relays.join(', ');
  });
  if (network === undefined) return;
  try {
    if (runs('outside')) await checkOutside(checks, network);
    if (runs('upgrade') || runs('crash')) {
      const fleet = await startFleet(network);
      try {
        if (runs('upgrade')) await checkUpgrade(checks, network, fleet);
        if (runs('crash')) await checkCrash(checks, network, fleet);
      } finally {
        await fleet.stop();
      }
    }
    if (runs('leftovers')) await checkLeftovers(checks, network);
  } finally {
    await network.close();
  }
}

/** Returns whether a tool is missing. */
function reportMissingTools(options: Options): boolean {
  const missing = missingTools(options, process.env['PATH'] ?? '');
  if (missing.length > 0) process.stderr.write(`e2e:cluster requires tools:\n  ${missing.join('\n  ')}\n`);
  return missing.length > 0;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options.help) process.stdout.write(HELP);
  else if (reportMissingTools(options)) process.exitCode = 2;
  else {
    await checks.check('the run is complete', async () => main(options));
    process.exitCode = checks.finish();
  }
} catch (error) {
  process.stderr.write(`e2e:cluster: ${describeError(error)}.\n${HELP}`);
  process.exitCode = 2;
}
