import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { ProtectionOutcome } from '../../wire/psk-outcomes.ts';
import {
  createDialProgress,
  type DialAttempt,
  explainFailure,
  formatAttempts,
  isFinalFailure,
  PROTECTION_OUTCOME,
  PROTECTION_START,
  STAGES,
} from './dial-report.ts';

const ADDRESS = '/ip4/10.0.0.5/tcp/8845/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';

interface Failure {
  readonly error?: unknown;
  readonly outcomes?: readonly ProtectionOutcome[];
  readonly timeoutMs?: number;
}

function explain({
  error = new Error('connect ECONNREFUSED'),
  outcomes = [],
  timeoutMs,
}: Failure): DialAttempt {
  const progress = createDialProgress();
  progress.onProgress({ type: 'tcp:open-connection' });
  for (const outcome of outcomes) {
    progress.onProgress({ type: PROTECTION_START });
    progress.onProgress({ type: PROTECTION_OUTCOME, detail: outcome });
  }
  return explainFailure(ADDRESS, progress, error, timeoutMs);
}

describe('explainFailure', () => {
  test('repeats the error of the stage that failed', () => {
    expect(explain({})).toEqual({ address: ADDRESS, stage: 'tcp', reason: 'connect ECONNREFUSED' });
  });

  test('repeats every error of a dial of several addresses', () => {
    const error = new AggregateError([new Error('one'), new Error('two')], 'All multiaddr dials failed');
    expect(explain({ error }).reason).toBe('one; two');
  });

  test.each([
    ['wrong_key', 'the other side has a different swarm key'],
    ['no_greeting', 'probably because its swarm key differs'],
    ['no_nonce', 'may not use a swarm key'],
  ] as const)('explains the outcome %s of the protector', (outcome, reason) => {
    const error = new Error('Some text of the library');
    expect(explain({ error, outcomes: [outcome] })).toMatchObject({
      stage: 'swarm key',
      reason: expect.stringContaining(reason),
    });
  });

  test('uses the outcome of the latest connection', () => {
    expect(explain({ outcomes: ['wrong_key', 'ok'] }).reason).toBe('connect ECONNREFUSED');
  });

  test('reports the deadline when it has passed', () => {
    expect(explain({ timeoutMs: 5_000, outcomes: ['no_nonce'] })).toMatchObject({
      stage: 'swarm key',
      reason: 'no response within 5000 ms',
    });
    expect(explain({ timeoutMs: 5_000, outcomes: ['wrong_key'] }).reason).toContain('different swarm key');
  });

  test('does not derive the reason from the text of an error', () => {
    const error = new Error('the other side does not have the same swarm key');
    expect(explain({ error })).toMatchObject({ stage: 'tcp', reason: error.message });
  });
});

test.each([
  [
    'true for a device that supports no muxer of this one',
    'the other side does not support /yamux/1.0.0',
    true,
  ],
  ['false for a negotiation that was cut', 'the other side closed the connection', false],
])('isFinalFailure is %s', (_, message, expected) => {
  const reason = `The negotiation of a protocol failed: ${message}.`;
  expect(isFinalFailure({ address: ADDRESS, stage: 'muxer', reason }, new Error(reason))).toBe(expected);
});

test('docs/peer.md lists the stages', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/peer.md'), 'utf8').replaceAll(
    /\s+/g,
    ' ',
  );
  expect(page).toContain(STAGES.map((stage) => `\`${stage}\``).join(', '));
});

test('formatAttempts merges and counts equal attempts and omits the peer id', () => {
  const attempt = explain({});
  expect(formatAttempts([attempt, attempt, { ...attempt, stage: 'noise' }])).toEqual([
    '/ip4/10.0.0.5/tcp/8845: tcp: connect ECONNREFUSED (2 times)',
    '/ip4/10.0.0.5/tcp/8845: noise: connect ECONNREFUSED',
  ]);
});
