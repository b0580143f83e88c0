// Starts the tracker: reads the configuration, creates the components, and runs them until a signal.
import { createHealth, createLifecycle, runService } from '../shared/lifecycle.ts';
import { createLogger } from '../shared/log.ts';
import { logMemoryNeeds, memoryLimitBytes } from '../shared/memory.ts';
import { createMemoryTrim } from '../shared/memory-trim.ts';
import { createOpsServer } from '../shared/ops.ts';
import { exitIfAnswered, exitWithError } from '../shared/program.ts';
import { createAnswers } from './answers.ts';
import { configuredDeps } from './app-context.ts';
import { createApp } from './app.ts';
import { createAuth } from './auth.ts';
import { createClientLog } from './client-log.ts';
import { PROGRAM, readTrackerConfig } from './config.ts';
import { memoryNeeds } from './memory-needs.ts';
import { createTrackerMetrics } from './metrics.ts';
import { createRegistry } from './registry/create-registry.ts';
import { createServers } from './servers.ts';
import { createTokens } from './tokens.ts';

try {
  exitIfAnswered(PROGRAM, process.argv.slice(2));
  const config = readTrackerConfig(process.env);
  const log = createLogger('tracker', config.logLevel);
  for (const warning of config.warnings) log.warn({ warning }, 'configuration');
  logMemoryNeeds(log, memoryNeeds(config), memoryLimitBytes());
  const health = createHealth();
  const live = () => registry.live();
  const metrics = createTrackerMetrics(config, live, () => registry.counts());
  const registry = await createRegistry(config, log, metrics);
  health.addCheck('registry', () => registry.problem());
  const tokens = config.tokens && createTokens(config.tokens, log);
  const reporting = { metrics, log, clientLog: createClientLog({ log }) };
  const app = createApp({
    ...config,
    ...configuredDeps(config),
    registry,
    auth: createAuth(tokens),
    ...reporting,
    isReady: () => Object.keys(health.problems()).length === 0,
    answers: createAnswers(() => metrics.answerAborted()),
  });
  const ops = createOpsServer(config.opsListen, health, metrics.registry, log);
  const own = [createMemoryTrim(), ...(tokens === undefined ? [] : [tokens])];
  const components = [ops, registry, ...own, ...createServers(config, { app, ...reporting })];
  const options = { log, health, drainMs: config.drainMs, deadlineMs: 5_000 };
  await runService(createLifecycle(components, options), options);
} catch (error) {
  exitWithError(PROGRAM.name, error);
}
