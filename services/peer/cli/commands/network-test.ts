// `network-test`: tests the trackers and relays of a network from this machine. `helm test` runs it.
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '../../../shared/clock.ts';
import { readSmallFile } from '../../../shared/files.ts';
import { ConfigError, describeError } from '../../../shared/errors.ts';
import { quote } from '../../../shared/variables.ts';
import { type PeerConfig, PROGRAM } from '../../config/config.ts';
import { askHub, type RunningHub, testHub } from '../hub-test.ts';
import { testRelay } from '../network-test.ts';
import { type Command, listOption, numberOption, textOption } from './command.ts';

/** Maximum size of a token file, in bytes. */
const MAX_TOKEN_FILE_BYTES = 1024 * 1024;

/** Columns of the mark before each result. */
const MARK_COLUMNS = 4;

/** Maximum time of `--retry-sec`, in seconds. */
const MAX_RETRY_SECONDS = 3_600;

/** Pauses between two attempts, in milliseconds: the first one, and the longest one. */
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 5_000;

/** Maximum hubs of one test. More are an error. */
const MAX_HUBS = 1_000;

/** Maximum relays of one test. More relays are an error. */
const MAX_RELAYS = 64;

export const networkTest: Command = {
  name: 'network-test',
  alias: 'grid-test',
  usage: 'network-test [--relays A,B] [--hub] [--hubs A,B]',
  summary: 'test trackers and relays with two temporary devices',
  help: `For each relay, one device reserves on it and registers with the trackers, and
another device finds it there and pulls a thousand entries through the relay.
Both have a temporary user and are removed at the end. Your history is not used.

--hub then starts a temporary hub, pushes to it from one device and pulls from
it on another one. --hubs asks hubs that run for one entry each: a temporary
device of their user is registered for this time, without an address. An item is
the user id, percent-encoded, or USER=MULTIADDR for a hub at a known address.

--relays also takes multiaddrs without a peer id: the peer that answers there
and has the swarm key is used. The default is relay_addr.

  ${PROGRAM.name} network-test
  ${PROGRAM.name} network-test --relays /dns4/relay-0.lan/tcp/4001`,
  options: {
    relays: { value: 'LIST', doc: `relay multiaddrs, at most ${MAX_RELAYS} (default: relay_addr)` },
    hub: { doc: 'also test pushes and pulls through a temporary hub' },
    hubs: { value: 'LIST', doc: `users whose hubs are asked for one entry, at most ${MAX_HUBS}` },
    'retry-sec': {
      value: 'N',
      doc: 'repeat a failed test of a relay for this time, as devices do (default 0)',
    },
    'token-file': { value: 'FILE', doc: 'token file of a tracker; its first unrestricted token is used' },
  },
  maxPositionals: 0,
  async run({ config: given, options, screen, log, io, signal }) {
    const config = withToken(given, textOption(options, 'token-file'));
    const relays = listOption(options, 'relays') ?? config.relays;
    checkTestable(config, relays);
    const deadlineMs = monotonicMs() + numberOption(options, 'retry-sec', [0, MAX_RETRY_SECONDS], 0) * 1_000;
    const steps = {
      io,
      log,
      signal,
      onStep: (step: string) => void screen.out(`ok   ${step}`, 'green', MARK_COLUMNS),
    };
    const hubs = (listOption(options, 'hubs') ?? []).map(parseHub);
    if (hubs.length > MAX_HUBS)
      throw new ConfigError([`--hubs: ${hubs.length} hubs are given; the maximum is ${MAX_HUBS}.`]);

    /** Runs one test until it succeeds or the time is over. Returns whether it succeeded. */
    async function succeeds(
      kind: 'relay' | 'hub',
      subject: string,
      test: () => Promise<void>,
    ): Promise<boolean> {
      try {
        await untilDeadline(deadlineMs, signal, async (attempt) =>
          test().catch(async (error: unknown) => {
            log.info(
              { attempt, [kind]: subject, error: describeError(error) },
              `the test of a ${kind} failed`,
            );
            throw error;
          }),
        );
        return true;
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ConfigError) throw error;
        await screen.out(`FAIL ${describeFailure(subject, error)}`, 'red', MARK_COLUMNS);
        return false;
      }
    }

    let failed = 0;
    for (const relay of relays)
      if (!(await succeeds('relay', relay, async () => testRelay(config, relay, steps)))) failed += 1;
    await screen.out(`${relays.length - failed} of ${relays.length} relays work`);
    if (failed === relays.length) return 'unreachable';
    let failedHubs = 0;
    if (
      options['hub'] === true &&
      !(await succeeds('hub', 'temporary hub', async () => testHub(config, relays, steps)))
    )
      failedHubs += 1;
    for (const hub of hubs)
      if (!(await succeeds('hub', `hub of ${hub.userId}`, async () => askHub(config, hub, relays, steps))))
        failedHubs += 1;
    if (hubs.length > 0) await screen.out(`${hubs.length} hubs asked, ${failedHubs} tests of hubs failed`);
    return failed + failedHubs === 0 ? 'ok' : 'partial';
  },
};

/** Parses `USER` or `USER=MULTIADDR`. @throws ConfigError */
function parseHub(text: string): RunningHub {
  const [user = '', address] = text.split('=', 2);
  try {
    return { userId: decodeURIComponent(user), address };
  } catch {
    throw new ConfigError([`--hubs: ${quote(text)} is not valid percent-encoding.`]);
  }
}

/**
 * Runs the work again while it fails, with growing pauses, until the deadline.
 *
 * @throws the last error
 */
async function untilDeadline(
  deadlineMs: number,
  signal: AbortSignal,
  work: (attempt: number) => Promise<void>,
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await work(attempt);
      return;
    } catch (error) {
      const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempt - 1));
      if (error instanceof ConfigError || signal.aborted || monotonicMs() + pauseMs > deadlineMs) throw error;
      await pause(pauseMs, undefined, { signal });
    }
  }
}

/** @throws ConfigError with all problems */
function checkTestable({ trackers }: PeerConfig, relays: readonly string[]): void {
  const problems: string[] = [];
  if (relays.length === 0) problems.push('--relays: No relay is given; set it or relay_addr.');
  if (relays.length > MAX_RELAYS)
    problems.push(`--relays: ${relays.length} relays are given; the maximum is ${MAX_RELAYS}.`);
  if (trackers.length === 0) problems.push('trackers: No tracker is configured.');
  if (problems.length > 0) throw new ConfigError(problems);
}

function describeFailure(relay: string, error: unknown): string {
  const text = describeError(error);
  return text.startsWith(relay) ? `${text}.` : `${relay}: ${text}.`;
}

/** The configuration with the first unrestricted token of a file, which the temporary user requires. */
function withToken(config: PeerConfig, path: string | undefined): PeerConfig {
  if (path === undefined) return config;
  let lines: string[];
  try {
    lines = readSmallFile(path, MAX_TOKEN_FILE_BYTES).toString('utf8').split('\n');
  } catch (error) {
    throw new ConfigError([`--token-file: ${describeError(error)}.`]);
  }
  const trackerToken = lines.map((line) => line.trim()).find((line) => /^[^#\s]\S*$/.test(line));
  if (trackerToken === undefined)
    throw new ConfigError([`--token-file: ${path} has no token without user= and read-only.`]);
  return { ...config, trackerToken, trackerTokenPath: undefined };
}
