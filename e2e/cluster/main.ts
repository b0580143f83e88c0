// `npm run e2e:cluster`: tries the charts on a real cluster; `--help` says how.
import { createChecks } from '../../testing/checks.ts';
import { describeError } from '../../services/shared/errors.ts';
import { startFleet } from './fleet.ts';
import { type ClusterGrid, createClusterGrid } from './network.ts';
import { buildAll, loadAll } from './images.ts';
import { checkInstalls } from './installs.ts';
import { checkLeftovers } from './leftovers.ts';
import { HELP, type Options, type Part, readOptions } from './options.ts';
import { checkOutside } from './outside.ts';
import { checkCrash, checkUpgrade } from './upgrade.ts';

const checks = createChecks((text) => void process.stdout.write(text));

async function main(options: Options): Promise<void> {
  const runs = (part: Part): boolean => options.only.length === 0 || options.only.includes(part);
  const { load } = options;
  if (load !== undefined || options.build) {
    const built = await checks.check('the images build, and the nodes know them', async () => {
      const images = await buildAll(checks.say);
      if (load !== undefined && !options.build) await loadAll(images, load);
      return images.join(', ');
    });
    if (!built || options.build) return;
  }
  if (runs('installs')) await checkInstalls(checks, options);
  if (['outside', 'upgrade', 'crash', 'leftovers'].some((part) => runs(part as Part)))
    await tryGrid(options, runs);
}

/** One grid for all that devices outside do. */
async function tryGrid(options: Options, runs: (part: Part) => boolean): Promise<void> {
  let grid: ClusterGrid | undefined;
  await checks.check('a grid for devices outside installs, and its notes say how to reach it', async () => {
    grid = await createClusterGrid(options);
    return grid.relays.join(', ');
  });
  if (grid === undefined) return;
  try {
    if (runs('outside')) await checkOutside(checks, grid);
    if (runs('upgrade') || runs('crash')) {
      const fleet = await startFleet(grid);
      try {
        if (runs('upgrade')) await checkUpgrade(checks, grid, fleet);
        if (runs('crash')) await checkCrash(checks, grid, fleet);
      } finally {
        await fleet.stop();
      }
    }
    if (runs('leftovers')) await checkLeftovers(checks, grid);
  } finally {
    await grid.close();
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') process.stdout.write(HELP);
  else {
    await checks.check('the run came to its end', async () => main(options));
    process.exitCode = checks.finish();
  }
} catch (error) {
  process.stderr.write(`e2e:cluster: ${describeError(error)}\n${HELP}`);
  process.exitCode = 2;
}
