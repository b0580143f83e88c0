// `grid-test`: proves that a grid works, from where it runs. The charts run it as `helm test`.
import { readSmallFile } from '../../../shared/files.ts';
import { ConfigError, describeError } from '../../../shared/errors.ts';
import { tryRelay } from '../network-test.ts';
import type { Config } from '../../config/config.ts';
import { type Command, readText } from './command.ts';

/** Longest file of tokens, in bytes. */
const MAX_TOKENS_BYTES = 1024 * 1024;

/** Most relays that are tried: those of a large StatefulSet. */
const MAX_TRIED = 64;

export const gridTest: Command = {
  name: 'grid-test',
  usage: 'grid-test [--relays A,B] [--token-file FILE]',
  summary: 'prove that trackers and relays work, with two throw-away devices',
  help: `For each relay: one device reserves on it and registers with the trackers, another
finds it there and pulls a thousand entries through that relay. Both belong to a
user that is made up, and are gone afterwards: your history is left alone.

--relays takes multiaddrs without a peer id too: whoever answers there and has
the swarm key is taken for the relay. Without it relay_addr is tried.

  rustory-peer grid-test
  rustory-peer grid-test --relays /dns4/relay-0.lan/tcp/4001`,
  options: {
    relays: { value: 'LIST', doc: `relay multiaddrs, at most ${MAX_TRIED}, instead of relay_addr` },
    'token-file': { value: 'FILE', doc: "a tracker's tokens; the first that is bound to no user is used" },
  },
  maxPositionals: 0,
  async run({ config: given, options, screen, log, signal }) {
    const config = withToken(given, readText(options, 'token-file'));
    const relays = readText(options, 'relays')?.split(',') ?? config.settings.relayAddr ?? [];
    if (relays.length === 0 || relays.length > MAX_TRIED)
      throw new ConfigError([`--relays or relay_addr must name a relay, and at most ${MAX_TRIED}`]);
    if ((config.settings.trackers ?? []).length === 0)
      throw new ConfigError(['trackers must name a tracker']);
    let failed = 0;
    for (const relay of relays) {
      try {
        await tryRelay(config, relay, {
          log,
          signal,
          onStep: (step) => void screen.out(`${screen.style('green', 'ok  ')} ${step}`),
        });
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof ConfigError) throw error;
        failed += 1;
        await screen.out(`${screen.style('red', 'FAIL')} ${relay}: ${describeError(error)}`);
      }
    }
    await screen.out(`${relays.length - failed} of ${relays.length} relays work`);
    if (failed === 0) return 'ok';
    return failed === relays.length ? 'unreachable' : 'partial';
  },
};

/** With a token that may register whom it likes, out of a file as the tracker reads it. */
function withToken(config: Config, path: string | undefined): Config {
  if (path === undefined) return config;
  let lines: string[];
  try {
    lines = readSmallFile(path, MAX_TOKENS_BYTES).toString('utf8').split('\n');
  } catch (error) {
    throw new ConfigError([`--token-file ${describeError(error)}`]);
  }
  const trackerToken = lines.map((line) => line.trim()).find((line) => /^[^#\s]\S*$/.test(line));
  if (trackerToken === undefined)
    throw new ConfigError([`--token-file names ${path}, which holds no token without user= and read-only`]);
  return { ...config, settings: { ...config.settings, trackerToken } };
}
