// Starts the tracker: reads the configuration, creates the components, and runs them until a signal.
import { createHttpServer } from '../shared/http-server.ts';
import { createHealth, createLifecycle, runService } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/log.ts';
import { logMemoryNeeds, memoryLimitBytes } from '../shared/memory.ts';
import { createOpsServer } from '../shared/ops.ts';
import { exitIfAnswered, exitWithError } from '../shared/program.ts';
import { createApp } from './app.ts';
import { createAuth } from './auth.ts';
import { PROGRAM, readTrackerConfig } from './config.ts';
import { HTTP_LIMITS } from './http-limits.ts';
import { memoryNeeds } from './memory-needs.ts';
import { createTrackerMetrics } from './metrics.ts';
import { createClientAddress } from './proxies.ts';
import { createRateLimits } from './rate-limits.ts';
import { createRegistry } from './registry/create-registry.ts';
import { createTokens } from './tokens.ts';

try {
  exitIfAnswered(PROGRAM, process.argv.slice(2));
  const config = readTrackerConfig(process.env);
  const log = createLogger('tracker', config.logLevel);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');
  logMemoryNeeds(log, memoryNeeds(config), memoryLimitBytes());
  const health = createHealth();
  const livePeers = (): number | undefined => registry.live();
  const metrics = createTrackerMetrics(config, livePeers);
  const registry = createRegistry(config, log, metrics.redisProbe);
  health.addCheck('registry', () => registry.problem());
  const tokens = config.tokens && createTokens(config.tokens, log);
  const app = createApp({
    ...config,
    registry,
    auth: createAuth(tokens),
    metrics,
    log,
    rateLimits: createRateLimits(config.limits),
    clientAddress: createClientAddress(config.trustedProxies),
    nowUnixMs: Date.now,
    random: Math.random,
  });
  const onListening = (address: string): void => log.info({ address }, 'listening');
  const api = createHttpServer('api server', config.listen, app, HTTP_LIMITS, onListening);
  const ops = createOpsServer(config.opsListen, health, metrics.registry, log);
  const components = [ops, registry, ...(tokens === undefined ? [] : [tokens]), api];
  const options = { log, health, drainMs: config.drainMs, deadlineMs: 5_000 };
  await runService(createLifecycle(components, options), options);
} catch (error) {
  exitWithError(PROGRAM.name, error);
}
