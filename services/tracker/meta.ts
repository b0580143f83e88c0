// Selects the fields of `meta` that are stored. Pure functions. A field that cannot be stored is dropped instead of
// refusing the registration, because newer clients add fields. Only `user_id` must be valid: see registration.ts.
import { MAX_META_FIELDS, META_FIELD_TYPES, stringProblem } from '../shared/contract.ts';
import { createDropCounter, type Dropped, type MetaDrop } from './drops.ts';

type Scalar = string | number | boolean | null;

export interface SelectedMeta {
  /** The kept fields as they were sent. */
  readonly kept: Readonly<Record<string, Scalar>>;
  readonly dropped: Dropped<MetaDrop>;
}

/** Selects the fields of one registration. Above `MAX_META_FIELDS` the known fields are kept first. */
export function selectMeta(given: Readonly<Record<string, unknown>>): SelectedMeta {
  const { counts, drop } = createDropCounter<MetaDrop>();
  const entries = Object.entries(given);
  const ordered =
    entries.length <= MAX_META_FIELDS
      ? entries
      : entries.toSorted(([a], [b]) => Number(isKnown(b)) - Number(isKnown(a)));
  const kept: [name: string, value: Scalar][] = [];
  for (const [index, [name, value]] of ordered.entries()) {
    if (kept.length === MAX_META_FIELDS) {
      drop('over_limit', ordered.length - index);
      break;
    }
    const problem = fieldProblem(name, value);
    if (problem === undefined) kept.push([name, value as Scalar]);
    else drop(problem);
  }
  // `fromEntries` also defines a field with the name `__proto__`.
  return { kept: Object.fromEntries(kept), dropped: counts };
}

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
