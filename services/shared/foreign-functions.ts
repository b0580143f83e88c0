// Node's module for calls of C functions, for what Node has no API for. It is experimental, so callers do without it.
import { hideExperimentalWarnings } from './experimental-warnings.ts';

/** The part of the module that is used here. Its types are not in `@types/node` yet. */
interface ForeignFunctions {
  dlopen(
    library: null,
    functions: Record<string, { arguments: readonly string[]; return: string }>,
  ): { readonly functions: unknown };
}

/**
 * Functions of the C library by their names.
 *
 * @throws Error as a whole sentence when this version of Node.js has no such module, or the library has no such function
 */
export function loadFunctions<Functions>(
  types: Record<keyof Functions & string, { arguments: readonly string[]; return: string }>,
): Functions {
  hideExperimentalWarnings();
  const ffi = process.getBuiltinModule('node:ffi' as 'node:net') as unknown as ForeignFunctions | undefined;
  if (ffi === undefined) throw new Error('This version of Node.js has no module node:ffi.');
  return ffi.dlopen(null, types).functions as Functions;
}
