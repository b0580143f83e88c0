// The process that makes the load with the endpoints of `bench/endpoints`: `node bench/relay/load.ts NAME OPTIONS`, with the
// options as JSON. It prepares, prints `ready`, and waits for the line `go`. Then it works and prints `done` with the result.
// It stays until it is killed, because its connections are part of what is measured.
import { createInterface } from 'node:readline';
import type { LoadOptions, LoadResult, Prepare } from './load-result.ts';
import { prepareBulk } from './loads/bulk.ts';
import { prepareCircuits } from './loads/circuits.ts';
import { prepareReconnect } from './loads/reconnect.ts';
import { prepareReserve } from './loads/reserve.ts';
import { prepareSyncs } from './loads/syncs.ts';

const LOADS: Readonly<Record<string, Prepare>> = {
  bulk: prepareBulk,
  circuits: prepareCircuits,
  reconnect: prepareReconnect,
  reserve: prepareReserve,
  syncs: prepareSyncs,
};

function print(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function main([name = '', json = '{}']: readonly string[]): Promise<void> {
  const prepare = LOADS[name];
  if (prepare === undefined) throw new Error(`There is no load "${name}".`);
  const work = await prepare(JSON.parse(json) as LoadOptions, (event) => print({ msg: event }));
  print({ msg: 'ready' });
  for await (const line of createInterface({ input: process.stdin })) {
    if (line !== 'go') continue;
    const result: LoadResult = await work();
    print({ msg: 'done', ...result });
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
