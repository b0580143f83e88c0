// A load that is prepared and then measured, and the processes of its Rust programs.
import { type LogLine, type Running, startCommand } from '../../scripts/processes.ts';
import { rustRelayProgram } from '../../e2e/interop/rust-relay.ts';
import type { RunContext, Sample } from '../benchmark.ts';
import { describeError } from '../../services/shared/errors.ts';
import { measure } from '../measure.ts';
import { swarmKeyFile } from '../server-process.ts';

/** What a load has done. */
export type Work = Pick<Sample, 'operations' | 'bytes' | 'latenciesMs' | 'figures' | 'errors'>;

export interface Load {
  /** Its processes, for their CPU time. */
  readonly processes: ReadonlyArray<{ readonly pid: number }>;
  /** The part that is measured. It never throws for a wrong byte, a refusal or a failed sync: these are in `errors`. */
  work(): Promise<Work>;
}

/** The muxers of released clients. */
export type ClientMuxer = 'yamux' | 'mplex';

/** What every load of Rust programs needs. */
export interface RustLoadOptions {
  readonly relay: { readonly address: string };
  readonly muxer: ClientMuxer;
}

/** Does the work of a load and measures the servers. */
export async function sampleOf(
  servers: ReadonlyArray<{ readonly pid: number }>,
  load: Load,
): Promise<Sample> {
  const { usage, result } = await measure({ servers, load: load.processes }, async () => load.work());
  return { ...usage, ...result };
}

/** Starts commands of the Rust program with the swarm key of the run. They are killed after it. */
export function createStarter(
  context: Pick<RunContext, 'folder' | 'onEnd'>,
  { relay, muxer }: RustLoadOptions,
): (args: readonly string[], onLine?: (line: string) => void) => Running {
  const shared = ['--relay', relay.address, '--muxer', muxer, '--key', swarmKeyFile(context.folder)];
  return (args, onLine) => {
    const running = startCommand('rust', rustRelayProgram().command, {
      args: [...args, ...shared],
      hasInput: true,
      ...(onLine === undefined ? {} : { onLine }),
    });
    context.onEnd(async () => {
      running.kill('SIGKILL');
      await running.exited;
    });
    return running;
  };
}

/** The peer id of a program that has just started `serve`, after its reservation. @throws when it gets none */
export async function reservedPeer(serving: Running): Promise<string> {
  const [{ peer_id }] = await Promise.all([serving.waitFor('started'), serving.waitFor('reserved')]);
  return String(peer_id);
}

/** The reason that a program printed when it failed, or everything that it printed. */
export function reasonIn(stderr: string): string {
  const line = stderr.split('\n').find((text) => text.startsWith('{"msg":"error"'));
  return line === undefined ? stderr : String((JSON.parse(line) as LogLine)['reason']);
}

/** Why a program did not print what was waited for: its own reason if it has one. */
export function reasonOf(running: Running, error: unknown): string {
  return reasonIn(running.stderr()) || describeError(error);
}
