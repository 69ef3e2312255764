import { type Audit, type AuditOptions, openAudit } from '../audit/audit.ts';
import { isFile } from '../audit/file.ts';
import { type AuditOutputOptions, openAuditOutput } from '../audit/output.ts';

export interface AuditOfOptions
  extends Omit<AuditOptions, 'write'>,
    Pick<AuditOutputOptions, 'log' | 'onLost'> {
  /** `AUDIT_LOG`. */
  where: string | undefined;
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
