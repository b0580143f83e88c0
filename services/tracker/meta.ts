// Selects the fields of `meta` that are stored. Pure functions. A field that cannot be stored is dropped instead of
// refusing the registration, because newer clients add fields. Only `user_id` must be valid: see registration.ts.
import { MAX_META_FIELDS, META_FIELD_TYPES, stringProblem } from '../shared/contract.ts';
import { jsonBytes } from './record-size.ts';
import { createDropCounter, type Dropped, type MetaDrop } from './drops.ts';

type Scalar = string | number | boolean | null;

export interface SelectedMeta {
  /** The kept fields as they were sent. */
  readonly kept: Readonly<Record<string, Scalar>>;
  /** Bytes of the kept known fields as JSON. */
  readonly knownBytes: number;
  readonly dropped: Dropped<MetaDrop>;
}

/**
 * Selects the fields of one registration. Above `MAX_META_FIELDS` or the maximum of bytes the known fields are kept first,
 * and of these the first ones of `META_FIELD_TYPES`.
 *
 * @param maxBytes maximum bytes of the kept fields as JSON
 */
export function selectMeta(given: Readonly<Record<string, unknown>>, maxBytes: number): SelectedMeta {
  const { counts, drop } = createDropCounter<MetaDrop>();
  const kept = new Map<string, Scalar>();
  let knownBytes = 0;
  let keptBytes = 0;
  const names = Object.keys(given);
  for (const name of [...KNOWN.filter((each) => Object.hasOwn(given, each)), ...names.filter(isUnknown)]) {
    const value = given[name];
    const problem = fieldProblem(name, value);
    const bytes = problem === undefined ? jsonBytes(name) + jsonBytes(value) : 0;
    if (problem !== undefined) drop(problem);
    else if (kept.size === MAX_META_FIELDS || keptBytes + bytes > maxBytes) drop('over_limit');
    else {
      kept.set(name, value as Scalar);
      keptBytes += bytes;
      if (isKnown(name)) knownBytes += bytes;
    }
  }
  const inOrder = names.flatMap((name): [string, Scalar][] => {
    const value = kept.get(name);
    return value === undefined ? [] : [[name, value]];
  });
  // `fromEntries` also defines a field with the name `__proto__`.
  return { kept: Object.fromEntries(inOrder), knownBytes, dropped: counts };
}

const KNOWN: readonly string[] = Object.keys(META_FIELD_TYPES).toSorted(
  (a, b) => Number(b === 'user_id') - Number(a === 'user_id'),
);

function fieldProblem(name: string, value: unknown): MetaDrop | undefined {
  const nameProblem = stringProblem(name);
  if (nameProblem !== undefined) return nameProblem;
  if (value === null) return undefined;
  // JSON has no infinite numbers, so a number above the range of doubles could not be returned.
  if (typeof value === 'number' && !Number.isFinite(value)) return 'mistyped';
  if (isKnown(name) && typeof value !== META_FIELD_TYPES[name]) return 'mistyped';
  if (typeof value === 'string') return stringProblem(value);
  return typeof value === 'number' || typeof value === 'boolean' ? undefined : 'mistyped';
}

function isKnown(name: string): name is keyof typeof META_FIELD_TYPES {
  return Object.hasOwn(META_FIELD_TYPES, name);
}

function isUnknown(name: string): boolean {
  return !isKnown(name);
}
