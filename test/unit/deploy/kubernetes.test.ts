import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { type Config, readConfig } from '../../../src/config.ts';
import { secrets, variables } from '../../../src/variables.ts';

const folder = new URL('../../../deploy/kubernetes/', import.meta.url);
const text = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const manifests = (name: string) =>
  parseAllDocuments(text(name)).map((document) => document.toJS() as Manifest);
const settings = parseEnv(text('settings.env')) as Record<string, string>;
/** What docs/deployment.md makes of each Secret. */
const guide = readFileSync(new URL('../../docs/deployment.md', folder), 'utf8');

interface Manifest {
  kind: string;
  metadata: { name: string; labels?: Record<string, string> };
  spec: Record<string, unknown>;
}

interface Pod {
  terminationGracePeriodSeconds: number;
  automountServiceAccountToken: boolean;
  enableServiceLinks: boolean;
  securityContext: object;
  containers: Container[];
  volumes: { name: string; secret: { secretName: string; defaultMode: number } }[];
}

interface Container {
  envFrom: { configMapRef: { name: string } }[];
  env: { name: string; value: string }[];
  ports: { name: string; containerPort: number }[];
  livenessProbe: { httpGet: { path: string; port: string } };
  readinessProbe: { httpGet: { path: string; port: string } };
  lifecycle: { preStop: { exec: { command: string[] } } };
  securityContext: object;
  volumeMounts: { name: string; mountPath: string; readOnly: boolean }[];
}

let secretFile: string;
beforeAll(() => {
  secretFile = join(mkdtempSync(join(tmpdir(), 'ticket-broker-')), 'secret');
  writeFileSync(secretFile, 'redis://broker:password@redis:6379');
});
afterAll(() => rmSync(join(secretFile, '..'), { recursive: true }));

/** The environment that a node gets, its secrets replaced by a file that is there. */
function configOf({ env, envFrom }: Container): Config {
  expect(envFrom).toEqual([{ configMapRef: { name: 'ticket-broker-settings' } }]);
  const own = env.map(({ name, value }) => [name, value.startsWith('/run/') ? secretFile : value]);
  return readConfig({ HOST: '0.0.0.0', ...settings, ...Object.fromEntries(own) });
}

describe.each(['http', 'ws'])('the %s tier on Kubernetes', (tier) => {
  const [deployment, service, budget] = manifests(`${tier}.yaml`) as [Manifest, Manifest, Manifest];
  const { replicas, selector, template } = deployment.spec as {
    replicas: number;
    selector: { matchLabels: Record<string, string> };
    template: { metadata: { labels: Record<string, string> }; spec: Pod };
  };
  const pod = template.spec;
  const [container] = pod.containers as [Container];
  const port = (name: string) => container.ports.find((one) => one.name === name)?.containerPort;

  test('is configured by variables that exist, and would start', () => {
    const known = [...Object.keys(variables), ...secrets.map((name) => `${name}_FILE`)];
    const named = [...Object.keys(settings), ...container.env.map(({ name }) => name)];
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
    const config = configOf(container);
    expect([...config.TIERS]).toEqual([tier]);
    expect([port('http'), port('metrics')]).toEqual([config.PORT, config.METRICS_PORT]);
  });

  test('is asked whether it lives and whether it can serve, and not the one for the other', () => {
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'http' });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'http' });
  });

  test('has the time to send its sockets elsewhere', () => {
    const { DRAIN_TIMEOUT } = configOf(container);
    const [command, seconds] = container.lifecycle.preStop.exec.command;
    expect(command).toBe('sleep');
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(Number(seconds) + DRAIN_TIMEOUT + 5);
  });

  test('has its secrets in files only, which docs/deployment.md tells how to make', () => {
    const files = container.env.filter(({ value }) => value.startsWith('/run/')).map(({ value }) => value);
    expect(files).toHaveLength(tier === 'http' ? 4 : 1);
    for (const file of files) {
      const mount = container.volumeMounts.find(({ mountPath }) => file.startsWith(`${mountPath}/`));
      const volume = pod.volumes.find(({ name }) => name === mount?.name);
      expect(volume?.secret.defaultMode).toBe(0o440);
      const [, made = ''] = guide.split(`kubectl create secret generic ${volume?.secret.secretName} `);
      expect(made.split('\n', 1)[0]).toContain(`--from-file=${file.split('/').at(-1)}=`);
    }
    expect(container.volumeMounts.every(({ readOnly }) => readOnly)).toBe(true);
    const ofSigning = container.env.filter(({ name }) => /^(JWT|USERS|SERVICE)_/.test(name));
    expect(ofSigning).toHaveLength(tier === 'http' ? 3 : 0);
  });

  test('may do no more than it has to', () => {
    expect(pod).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    expect(pod.securityContext).toEqual({
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      fsGroup: 1000,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test('is found by its Service and kept up by its budget', () => {
    expect(replicas).toBe(2);
    const { labels } = template.metadata;
    expect(labels['app.kubernetes.io/component']).toBe(tier);
    expect(selector.matchLabels).toEqual(labels);
    expect([service.kind, service.metadata.name]).toEqual(['Service', `ticket-broker-${tier}`]);
    expect(service.spec).toEqual({
      selector: labels,
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    });
    expect([budget.kind, budget.spec]).toEqual([
      'PodDisruptionBudget',
      { maxUnavailable: 1, selector: { matchLabels: labels } },
    ]);
  });
});

test('the way in leads /ws to one tier and all else to the other', () => {
  interface Path {
    path: string;
    pathType: string;
    backend: { service: object };
  }
  const ways = manifests('ingress.yaml').flatMap(({ spec }) =>
    (spec['rules'] as { host: string; http: { paths: Path[] } }[]).flatMap(({ host, http }) =>
      http.paths.map(({ path, pathType, backend }) => ({ host, path, pathType, ...backend.service })),
    ),
  );
  const host = new URL(settings['PUBLIC_WS_URL'] ?? '').host;
  expect(settings['ALLOWED_ORIGINS']).toBe(`https://${host}`);
  expect(ways).toEqual([
    { host, path: '/ws', pathType: 'Exact', name: 'ticket-broker-ws', port: { name: 'http' } },
    { host, path: '/', pathType: 'Prefix', name: 'ticket-broker-http', port: { name: 'http' } },
  ]);
});

test('the policy opens the ports that are listened on, and no others', () => {
  const [{ spec }] = manifests('network-policy.yaml') as [Manifest];
  const ports = (spec['ingress'] as { ports: { port: number }[] }[]).flatMap((rule) =>
    rule.ports.map(({ port }) => port),
  );
  expect(ports).toEqual([readConfig({}).PORT, Number(settings['METRICS_PORT'])]);
});

test('every manifest is applied, but the autoscalers, which are a choice', () => {
  const { resources, configMapGenerator } = parse(text('kustomization.yaml'));
  expect(resources).toEqual(['http.yaml', 'ws.yaml', 'ingress.yaml', 'network-policy.yaml']);
  expect(configMapGenerator).toEqual([{ name: 'ticket-broker-settings', envs: ['settings.env'] }]);
  const scaled = manifests('autoscaling.yaml').map(
    ({ spec }) => (spec['scaleTargetRef'] as { name: string }).name,
  );
  expect(scaled).toEqual(['ticket-broker-http', 'ticket-broker-ws']);
});
