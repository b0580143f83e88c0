// Reports what became of headers of the PROXY protocol: a counter, and a log line about each load balancer that sends none.
import { Counter, type Registry } from 'prom-client';
import { createLimitedLog } from './limited-log.ts';
import type { Logger } from './log.ts';
import type { ProxyHeaderOutcome } from './proxy-header-outcomes.ts';

/** Maximum log lines per minute, each about another proxy. */
const LINES_PER_MINUTE = 10;

/** Outcomes that are no mistake of a proxy, so they are only counted. */
const NOT_LOGGED: ReadonlySet<ProxyHeaderOutcome> = new Set(['client', 'proxy', 'direct', 'unused']);

export interface ProxyHeaderReportOptions {
  /** The name of the counter, with its sentence. */
  readonly name: string;
  readonly help: string;
  /** All outcomes, whose series exist from the start. */
  readonly outcomes: Readonly<Record<ProxyHeaderOutcome, unknown>>;
  readonly registry: Registry;
  readonly log: Logger;
}

/** Registers the counter. The returned function gets each outcome, with the address that the connection comes from. */
export function createProxyHeaderReport({
  name,
  help,
  outcomes,
  registry,
  log,
}: ProxyHeaderReportOptions): (outcome: ProxyHeaderOutcome, address: string) => void {
  const writeLimited = createLimitedLog<'header'>({ log, perMinute: LINES_PER_MINUTE });
  const counter = new Counter({ name, help, labelNames: ['outcome'], registers: [registry] });
  for (const outcome of Object.keys(outcomes)) counter.inc({ outcome }, 0);
  return (outcome, address) => {
    counter.inc({ outcome });
    if (NOT_LOGGED.has(outcome)) return;
    const message = 'trusted proxy without a valid header of the PROXY protocol, connection closed';
    writeLimited('header', { address, reason: outcome }, message, address);
  };
}
