// Restores a backup, and ends with SIGKILL before a step of the replacement: `DATABASE BACKUP STEP`.
import { readBackupFile } from '../../services/peer/history/backup-content.ts';
import { restoreDatabase } from '../../services/peer/history/restore.ts';

const [path = '', backup = '', fatal = ''] = process.argv.slice(2);

await restoreDatabase(path, readBackupFile(backup, path), {
  name: backup,
  nowUnixMs: Date.now,
  onStep(step) {
    if (step === fatal) process.kill(process.pid, 'SIGKILL');
  },
});
