import { type Audit, openAudit } from '../audit/audit.ts';
import { isFile, openAuditOutput } from '../audit/output.ts';

export interface AuditOfOptions extends Omit<Parameters<typeof openAudit>[0], 'write'> {
  /** `AUDIT_LOG`. */
  where: string | undefined;
  log: Parameters<typeof openAuditOutput>[1]['log'];
  onLost: (lines: number) => void;
  started: AsyncDisposableStack;
}

/** The audit that is asked for, if one is; SIGHUP begins its file anew, as logrotate wants it. @throws ConfigFault */
export function auditOf({ where, log, onLost, started, node, now }: AuditOfOptions): Audit | undefined {
  if (where === undefined) return undefined;
  const output = openAuditOutput(where, { log, onLost });
  started.defer(() => output.close());
  if (isFile(where)) process.on('SIGHUP', output.reopen);
  return openAudit({ write: output.write, node, now });
}
