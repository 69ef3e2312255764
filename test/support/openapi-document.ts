import { testApp } from './app.ts';

/** The OpenAPI document as the application serves it, in YAML. */
export async function openApiDocument(): Promise<string> {
  const { app, close } = await testApp();
  const { body } = await app.inject('/openapi.yaml');
  await close();
  return body;
}
