import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { AuditLine } from '../../src/audit/line.ts';

const isLine = new Ajv({ strict: false, allErrors: true }).compile<AuditLine>(AuditLine);

/** The lines of an audit. @throws Error for one that is not as the schema says */
export function auditLines(text: string): AuditLine[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const parsed: unknown = JSON.parse(line);
      if (isLine(parsed)) return parsed;
      const { event } = parsed as { event: string };
      const branch = AuditLine.anyOf.findIndex(({ properties }) => properties.event.const === event);
      const faults = isLine.errors?.filter(({ schemaPath }) => schemaPath.startsWith(`#/anyOf/${branch}/`));
      const told = faults?.map(({ instancePath, message, params }) =>
        [instancePath, message, JSON.stringify(params)].join(' '),
      );
      throw new Error(`not a line of the audit: ${line}\n${told?.join('\n')}`);
    });
}

export const readAudit = (path: string) => auditLines(readFileSync(path, 'utf8'));
