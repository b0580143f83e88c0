// The registrations of this device with all trackers. Each tracker has its own interval and its own retries, so that
// one that is down does not affect the others.
import type { Logger } from '../../shared/log.ts';
import { createRegistration, type RegistrationDeps, type RegistrationProblem } from './registration.ts';
import type { PeerList, TrackerClient } from './tracker-client.ts';

export interface Registrations {
  /** Starts with every tracker. */
  start(): void;
  /** Call it when the addresses have changed. Registers immediately. */
  changed(): void;
  /**
   * Resolves when an attempt to register has ended with each of these trackers, to one sentence for each failure, and
   * one if another device uses the same identity.
   *
   * @param lists the lists that the trackers have just sent, by URL
   */
  ensure(lists: ReadonlyMap<string, PeerList>): Promise<readonly string[]>;
  /** Removes what this process registered, at every tracker that responds within the deadline. */
  stop(): Promise<void>;
}

export interface RegistrationsDeps extends Omit<RegistrationDeps, 'tracker'> {
  readonly trackers: readonly TrackerClient[];
  readonly log: Logger;
}

export function createRegistrations({ trackers, ...deps }: RegistrationsDeps): Registrations {
  const { log, identity } = deps;
  const all = trackers.map((tracker) => createRegistration({ ...deps, tracker }));

  return {
    start() {
      for (const registration of all) void registration.ensure();
    },
    changed() {
      for (const registration of all) registration.changed();
    },
    async ensure(lists) {
      const asked = all.filter(({ url }) => lists.has(url));
      const problems = await Promise.all(asked.map(async (each) => each.ensure(lists.get(each.url))));
      const failures = problems.flatMap((problem: RegistrationProblem) =>
        problem === undefined ? [] : [`This device is not registered: ${problem}`],
      );
      const duplicate = identity?.problem();
      return duplicate === undefined ? failures : [...failures, duplicate.text];
    },
    async stop() {
      const results = await Promise.all(all.map(async (registration) => registration.stop()));
      const removed = results.filter((result) => result === 'removed').length;
      const kept = results.filter((result) => result === 'kept').length;
      const failed = results.filter((result) => result === 'failed').length;
      if (removed + kept + failed > 0) log.info({ trackers: removed, kept, failed }, 'unregistered');
    },
  };
}
