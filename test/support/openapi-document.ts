import { testApp } from './app.ts';

/** The OpenAPI document that the routes' schemas make, in YAML. */
export async function openApiDocument(): Promise<string> {
  const { app, close } = await testApp({ collectRoutes: true });
  const document = app.swagger({ yaml: true });
  await close();
  return document;
}
