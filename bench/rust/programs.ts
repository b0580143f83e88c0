// The Rust programs of the interop matrix, which are the clients and the other relay of the benchmarks. Without cargo, the
// rows that need them are skipped.
import { isInstalled } from '../../e2e/interop/programs.ts';
import { buildRr } from '../../e2e/interop/rr-programs.ts';
import { rustRelayProgram } from '../../e2e/interop/rust-relay.ts';
import { describeError } from '../../services/shared/errors.ts';

const builds = new Map<'rust' | 'rr', Promise<string | undefined>>();

/** Builds the program with rust-libp2p once. For `Run.unavailable`: why it cannot run, as a whole sentence. */
export async function unavailableRust(): Promise<string | undefined> {
  return once('rust', async () => rustRelayProgram().build());
}

/** Builds the stand-in for `rr` 1.x once. For `Run.unavailable`: why it cannot run, as a whole sentence. */
export async function unavailableRr(): Promise<string | undefined> {
  return once('rr', async () => void (await buildRr(() => {}, ['1.x'])));
}

/** The first sentence of several questions, such as that for a build of ours and that for a Rust program. */
export function firstUnavailable(
  ...questions: ReadonlyArray<() => Promise<string | undefined>>
): () => Promise<string | undefined> {
  return async () => {
    for (const question of questions) {
      const reason = await question();
      if (reason !== undefined) return reason;
    }
    return undefined;
  };
}

async function once(name: 'rust' | 'rr', build: () => Promise<void>): Promise<string | undefined> {
  const started = builds.get(name) ?? tryBuild(build);
  builds.set(name, started);
  return started;
}

async function tryBuild(build: () => Promise<void>): Promise<string | undefined> {
  if (!(await isInstalled('cargo')))
    return 'This requires the Rust toolchain, and "cargo version" does not work on this machine.';
  try {
    await build();
    return undefined;
  } catch (error) {
    return `The Rust program cannot be built: ${describeError(error)}`;
  }
}
