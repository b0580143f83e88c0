// The OpenAPI document, made from the routes. The tracker serves it, and `npm run docs` writes it to docs/openapi.json.
import { OpenAPIHono } from '@hono/zod-openapi';
import { VERSION } from '../shared/program.ts';
import { documentInfo, routes, securitySchemes } from './routes.ts';

export function createOpenApiDocument() {
  const { openAPIRegistry, getOpenAPI31Document } = new OpenAPIHono();
  for (const route of Object.values(routes)) openAPIRegistry.registerPath(route);
  for (const [name, scheme] of Object.entries(securitySchemes))
    openAPIRegistry.registerComponent('securitySchemes', name, scheme);
  return getOpenAPI31Document({ openapi: '3.1.0', info: { ...documentInfo, version: VERSION } });
}
