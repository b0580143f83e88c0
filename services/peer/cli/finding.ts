// The result of one check of `doctor`.
import { ConfigError, describeError } from '../../shared/errors.ts';

export interface Finding {
  /** The checked thing; also a value in the JSON of `doctor`. */
  readonly subject: string;
  readonly state: 'ok' | 'warning' | 'failed';
  /** The result: a name, or a whole sentence. */
  readonly detail: string;
  /** The advice, as a whole sentence. */
  readonly advice?: string;
}

/** An error as whole sentences. */
export function sentencesOf(error: unknown): string {
  return error instanceof ConfigError ? error.problems.join(' ') : `${describeError(error)}.`;
}
