// The relay: `node services/relay/main.ts`, or `… peer-id` to print its peer id and exit. See `--help`.
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { unknownVariables } from '../shared/env.ts';
import { createHealth, createLifecycle, exitWith, runService } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/log.ts';
import { createOpsServer } from '../shared/ops.ts';
import { exitIfAsked } from '../shared/usage.ts';
import { loadCipher } from '../swarm/cipher.ts';
import { readIdentityConfig, readRelayConfig, variables } from './config.ts';
import { createRelayMetrics } from './metrics.ts';
import { createRelayNode } from './node.ts';

const PURPOSE = `a circuit-relay-v2 server for one private network: devices that cannot reach each other directly meet here.

«rustory-relay peer-id» prints the peer id that the identity gives, without starting.`;

/** How long starting, or closing after the drain, may take. */
const DEADLINE_MS = 10_000;

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === 'peer-id') {
    const identity = await readIdentityConfig(process.env);
    return void process.stdout.write(`${peerIdFromPrivateKey(identity).toString()}\n`);
  }
  exitIfAsked('rustory-relay', PURPOSE, variables, args);
  const config = await readRelayConfig(process.env);
  const log = createLogger('relay', config.LOG_LEVEL);
  for (const variable of unknownVariables(variables, 'RELAY_', process.env)) {
    log.warn({ variable }, 'unknown variable');
  }

  const cipher = loadCipher();
  const health = createHealth();
  const metrics = createRelayMetrics(cipher.name);
  metrics.limits({
    reservations: config.RELAY_MAX_RESERVATIONS,
    circuits: config.RELAY_MAX_CIRCUITS,
    connections: config.RELAY_MAX_CONNECTIONS,
    buffered_bytes: config.RELAY_BUFFER_BYTES,
  });
  const ops = createOpsServer(config.RELAY_OPS_LISTEN, health, metrics.registry, log);
  const node = createRelayNode(config, { cipher, metrics, log });
  const options = { log, health, drainMs: config.RELAY_DRAIN_SECONDS * 1000, deadlineMs: DEADLINE_MS };
  await runService(createLifecycle([ops, node], options), options);
}

main(process.argv.slice(2)).catch((error: unknown) => exitWith('rustory-relay', error));
