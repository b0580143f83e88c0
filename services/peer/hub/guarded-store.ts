// The store of the hub's own pulls: it refuses what nothing can be stored of, before SQLite fails in the middle of a page.
import { DatabaseError } from '../history/database.ts';
import type { Storage } from '../history/storage.ts';
import type { Store } from '../history/store.ts';

/** @param path of the database */
export function createGuardedStore(store: Store, storage: Storage, path: string): Store {
  return {
    ...store,
    insertPage(...args) {
      const checked = storage.check();
      // A page without content moves cursors only.
      const [{ entries, deletions }] = args;
      if (!checked.ok && entries.length + deletions.length > 0)
        throw new DatabaseError(path, new Error(storage.describe(checked.reason)));
      try {
        return store.insertPage(...args);
      } catch (error) {
        storage.report(error);
        throw error;
      }
    },
  };
}
