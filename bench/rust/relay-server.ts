// The relay of rust-libp2p as a server of a benchmark.
import { join } from 'node:path';
import { type RustRelayLimits, startRustRelay } from '../../e2e/interop/rust-relay.ts';
import type { RunContext } from '../benchmark.ts';
import { type RelayServer, swarmKeyFile } from '../server-process.ts';

/**
 * Starts it on loopback, by default on a free port and without limits. The identity is in the folder of the run, so that a
 * second relay of the same run has the same peer id.
 */
export async function startRustRelayServer(
  context: Pick<RunContext, 'onEnd' | 'folder'>,
  { port = 0, limits = 'none' }: { readonly port?: number; readonly limits?: RustRelayLimits } = {},
): Promise<RelayServer> {
  const relay = await startRustRelay({
    swarmKey: swarmKeyFile(context.folder),
    limits,
    listen: `/ip4/127.0.0.1/tcp/${port}`,
    identity: join(context.folder, 'rust-relay.key'),
  });
  const kill = async (): Promise<void> => {
    relay.kill('SIGKILL');
    await relay.exited;
  };
  context.onEnd(kill);
  return { pid: relay.pid, address: relay.address, kill };
}
