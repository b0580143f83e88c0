// Checks the members of libraries that we use or replace although they are not part of a public API. Such a package is
// pinned exactly in package.json; after an upgrade the check names the member that is missing.

/** Members of one object of a library. */
export interface PrivateMembers {
  /** Such as `@libp2p/yamux`. */
  readonly packageName: string;
  /** Our file that depends on the members, from the root of the repository. */
  readonly file: string;
  /** Name of the object in messages, such as `YamuxMuxer`. */
  readonly owner: string;
  readonly object: object;
  readonly functions?: readonly string[];
  /** Members of any other kind; their values may be `undefined`. */
  readonly fields?: readonly string[];
}

/** One sentence for each member that is missing: the package, the member, and the file that depends on it. */
export function missingMembers({
  packageName,
  file,
  owner,
  object,
  functions = [],
  fields = [],
}: PrivateMembers) {
  return [
    ...functions.filter((name) => typeof Reflect.get(object, name) !== 'function'),
    ...fields.filter((name) => !(name in object)),
  ].map((name) => `${packageName} has no ${owner}.${name}, which ${file} depends on.`);
}
