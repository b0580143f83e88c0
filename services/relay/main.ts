// The relay: `node services/relay/main.ts`, or `… peer-id` to print its peer id and exit. See `--help`.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { createHealth, createLifecycle, runService } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/log.ts';
import { logMemoryNeeds, memoryLimitBytes } from '../shared/memory.ts';
import { createMemoryTrim } from '../shared/memory-trim.ts';
import { createOpsServer } from '../shared/ops.ts';
import { exitIfAnswered, exitWithError } from '../shared/program.ts';
import { loadCipher } from '../wire/cipher.ts';
import { createWireIo } from '../wire/wire-io.ts';
import { PROGRAM, readIdentityConfig, readRelayConfig } from './config.ts';
import { memoryNeeds } from './memory.ts';
import { createRelayMetrics } from './metrics.ts';
import { createRelayNode } from './node.ts';

/** Deadline for one component to start, or to stop after the drain, in milliseconds. */
const DEADLINE_MS = 10_000;

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === 'peer-id') {
    const identity = await readIdentityConfig(process.env);
    return void process.stdout.write(`${peerIdFromPrivateKey(identity).toString()}\n`);
  }
  exitIfAnswered(PROGRAM, args);
  const config = await readRelayConfig(process.env);
  const log = createLogger('relay', config.logLevel);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');
  const { reservations, connections, pendingConnections, circuits } = config.limits;
  log.info({ reservations, connections, pendingConnections, circuits, ...config.resources }, 'limits');
  logMemoryNeeds(log, memoryNeeds(config.limits), memoryLimitBytes());

  const cipher = loadCipher();
  const health = createHealth();
  const metrics = createRelayMetrics(config.limits, cipher.name);
  const ops = createOpsServer(config.opsListen, health, metrics.registry, log);
  const io = createWireIo({ isPoisoned: config.poisonReads });
  const node = createRelayNode(config, { cipher, metrics, io, log });
  const options = { log, health, drainMs: config.drainMs, deadlineMs: DEADLINE_MS };
  await runService(createLifecycle([createMemoryTrim(), ops, node], options), options);
}

main(process.argv.slice(2)).catch((error: unknown) => exitWithError(PROGRAM.name, error));
