// Runs the chaos by hand, for hours: node e2e/tracker/chaos/main.ts --seed 7 --minutes 60 --max-seconds 60
import { parseArgs } from 'node:util';
import { runChaos } from './chaos.ts';
import type { Kind } from './servers.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '10' },
    'max-seconds': { type: 'string', default: '10' },
    kinds: { type: 'string', default: 'one,pair,sentinel,cluster' },
  },
});

const seed = Number(values.seed);
const endsAtMs = Date.now() + Number(values.minutes) * 60_000;
const print = (line: string): void => void process.stdout.write(`${line}\n`);
print(`seed ${seed}`);
const maxSeconds = Number(values['max-seconds']);
await Promise.all(
  values.kinds.split(',').map(async (kind) => {
    const report = await runChaos({
      kind: kind as Kind,
      seed,
      rounds: Infinity,
      endsAtMs,
      maxSeconds,
      print,
    });
    print(`${kind}: ${JSON.stringify(report)}`);
  }),
);
