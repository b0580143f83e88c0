/** The last commit before the work on speed. "Before" in the report means it. */
export const BEFORE_COMMIT = '121e930';
