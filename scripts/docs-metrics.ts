// Generates the tables of outcomes and reasons in docs/metrics.md, each between `<!-- generated: NAME -->` and `<!--
// end -->`.
import { STORAGE_PROBLEMS } from '../services/peer/history/storage-problems.ts';
import { SOURCES } from '../services/peer/hub/metrics.ts';
import { OWN_PULL_OUTCOMES } from '../services/peer/hub/outcomes.ts';
import { PULL_OUTCOMES } from '../services/peer/sync/pull-outcomes.ts';
import { PUSH_OUTCOMES } from '../services/peer/sync/push-outcomes.ts';
import { MUXER_VIOLATIONS } from '../services/wire/muxer/violations.ts';
import * as relay from '../services/relay/outcomes.ts';
import { PROXY_HEADER_OUTCOMES as RELAY_PROXY_HEADER_OUTCOMES } from '../services/relay/proxy-headers.ts';
import { ADDRESS_DROPS, META_DROPS } from '../services/tracker/drops.ts';
import { PROBLEMS } from '../services/tracker/problems.ts';
import { PROXY_HEADER_OUTCOMES } from '../services/tracker/proxy-protocol/admission.ts';
import { CONFLICT_KINDS } from '../services/tracker/registry/claims.ts';
import { REDIS_PROBLEMS } from '../services/tracker/registry/redis-problems.ts';
import { REGISTRATION_OUTCOMES } from '../services/tracker/registry/registry.ts';
import { HANDSHAKE_OUTCOMES } from '../services/tracker/tls/handshakes.ts';

/** Values of a metric label, each with its meaning. */
export type Outcomes = Readonly<Record<string, relay.Outcome>>;

/** The tables of the page, by name. */
export const OUTCOMES: Readonly<Record<string, Outcomes>> = {
  'tracker-registration-outcomes': REGISTRATION_OUTCOMES,
  'tracker-problems': PROBLEMS,
  'tracker-address-drops': ADDRESS_DROPS,
  'tracker-meta-drops': META_DROPS,
  'tracker-tls-handshakes': HANDSHAKE_OUTCOMES,
  'tracker-proxy-headers': PROXY_HEADER_OUTCOMES,
  'tracker-conflict-kinds': CONFLICT_KINDS,
  'tracker-redis-problems': REDIS_PROBLEMS,
  'relay-reservation-outcomes': relay.RESERVATION_OUTCOMES,
  'relay-circuit-outcomes': relay.CIRCUIT_OUTCOMES,
  'relay-circuit-ends': relay.CIRCUIT_ENDS,
  'relay-directions': relay.DIRECTIONS,
  'relay-connection-refusals': relay.CONNECTION_REFUSALS,
  'relay-muxer-violations': MUXER_VIOLATIONS,
  'relay-handshake-outcomes': relay.HANDSHAKE_OUTCOMES,
  'relay-proxy-headers': RELAY_PROXY_HEADER_OUTCOMES,
  'hub-storage-problems': STORAGE_PROBLEMS,
  'hub-push-outcomes': PUSH_OUTCOMES,
  'hub-pull-outcomes': PULL_OUTCOMES,
  'hub-own-pull-outcomes': OWN_PULL_OUTCOMES,
  'hub-sources': SOURCES,
};

const BLOCK = /<!-- generated: (?<name>[\w-]+) -->[^]*?<!-- end -->/g;

/**
 * Replaces all tables of the page.
 *
 * @param lists the outcomes of each table, by its name
 * @throws Error when the page has a table without outcomes, or outcomes have no table
 */
export function withOutcomes(page: string, lists: Readonly<Record<string, Outcomes>>): string {
  const missing = new Set(Object.keys(lists));
  const text = page.replaceAll(BLOCK, (_, name: string) => {
    const outcomes = lists[name];
    if (outcomes === undefined)
      throw new Error(`docs/metrics.md: There are no outcomes with the name "${name}".`);
    missing.delete(name);
    return `<!-- generated: ${name} -->\n\n${table(outcomes)}\n\n<!-- end -->`;
  });
  if (missing.size > 0)
    throw new Error(
      `docs/metrics.md: Add <!-- generated: NAME --> and <!-- end --> for ${[...missing].join(', ')}.`,
    );
  return text;
}

function table(outcomes: Outcomes): string {
  const rows = Object.entries(outcomes).map(
    ([value, outcome]) => `| \`${value}\` | ${relay.outcomeDoc(outcome).replaceAll('|', '\\|')} |`,
  );
  return ['| value | meaning |', '| --- | --- |', ...rows].join('\n');
}
