// POST /:tenantId/charges as the same service in Koa would have it, on the same users in Redis.
// Usage: node server.js <port> <redis URL>

import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Router from '@koa/router';
import Koa from 'koa';
import { createClient } from 'redis';

const [OK, UNKNOWN_KEY, RATE_LIMITED] = [0, 1, 2];
const BODY_BYTES = 1024 * 1024;
const REMEMBERED_KEYS = 100_000;
const LARGEST = 10 ** 13;

const [port, redisUrl] = process.argv.slice(2);
const redis = createClient({ url: redisUrl, RESP: 2 });
await redis.connect();
const script = readFileSync(new URL('charge.lua', import.meta.url), 'utf8');
const sha1 = createHash('sha1').update(script).digest('hex');
await redis.scriptLoad(script);

const userIds = new Map(); // a key never changes its user; the script asks whether it has it still
const configs = new Map(); // parsed configs, to spare the parsing: each request reads the text

function refuse(ctx, status, error, extra) {
  ctx.status = status;
  ctx.body = { error, ...extra };
}

async function finish(ctx, next) {
  const given = ctx.get('x-request-id');
  ctx.state.requestId = /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
  ctx.set('X-Request-ID', ctx.state.requestId);
  try {
    await next();
  } catch (error) {
    console.error(`[ERROR] ${error.stack}`);
    refuse(ctx, 500, 'Internal Server Error');
  }
}

async function loadTenant(ctx, next) {
  const { tenantId } = ctx.params;
  const text = /^[a-z0-9][a-z0-9_-]{0,62}$/.test(tenantId)
    ? await redis.get(`tenant:${tenantId}:config`)
    : null;
  if (text === null) return refuse(ctx, 400, 'Invalid tenant ID');
  let known = configs.get(tenantId);
  if (known?.text !== text) {
    known = { text, config: JSON.parse(text) };
    configs.set(tenantId, known);
    console.log(`[INFO] Loaded tenant config for ${tenantId}`);
  }
  ctx.state.config = known.config;
  return next();
}

async function authenticate(ctx, next) {
  const apiKey = /^Bearer ([A-Za-z0-9_-]{1,80})$/i.exec(ctx.get('authorization'))?.[1];
  let userId = apiKey && userIds.get(apiKey);
  if (apiKey && !userId) {
    userId = await redis.get(`apiKey:${apiKey}`);
    if (userId) {
      if (userIds.size >= REMEMBERED_KEYS) userIds.delete(userIds.keys().next().value);
      userIds.set(apiKey, userId);
    }
  }
  if (!userId) return refuseKey(ctx);
  Object.assign(ctx.state, { apiKey, userId });
  return next();
}

function refuseKey(ctx) {
  ctx.set('WWW-Authenticate', 'Bearer');
  refuse(ctx, 401, 'Invalid API key');
}

// The body; null if it is too large. By events: `for await` over a request costs more.
function readBody(request) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    let size = 0;
    request.on('data', (chunk) => {
      size += chunk.length;
      if (size <= BODY_BYTES) chunks.push(chunk);
    });
    request.on('end', () => resolve(size <= BODY_BYTES ? Buffer.concat(chunks) : null));
    request.on('error', reject);
  });
}

function parseObject(body) {
  try {
    const value = body.length ? JSON.parse(body) : {};
    return typeof value === 'object' && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

async function charge(ctx) {
  const { apiKey, userId } = ctx.state;
  const body = await readBody(ctx.req);
  if (body === null) return refuse(ctx, 413, 'Payload Too Large');
  const value = parseObject(body);
  if (value === null) return refuse(ctx, 400, 'Invalid JSON');
  const { tokens = 1, ...unknown } = value;
  if (!Number.isInteger(tokens) || tokens < 1 || tokens > LARGEST || Object.keys(unknown).length) {
    return refuse(ctx, 422, 'Invalid request');
  }
  const [status, tokensLeft, limit, window, remaining, resetMs] = await redis.evalSha(sha1, {
    keys: [`user:${userId}`, `{user:${userId}}:rate`, `{user:${userId}}:ledger`],
    arguments: [ctx.params.tenantId, apiKey, String(tokens), ctx.state.requestId],
  });
  if (status === UNKNOWN_KEY) return refuseKey(ctx);
  const seconds = Math.ceil(resetMs / 1000);
  ctx.set('RateLimit-Policy', `"requests";q=${limit};w=${window}`);
  ctx.set('RateLimit', `"requests";r=${remaining};t=${seconds}`);
  if (status === OK) {
    ctx.body = { tokensLeft };
  } else if (status === RATE_LIMITED) {
    ctx.set('Retry-After', String(Math.max(seconds, 1)));
    refuse(ctx, 429, 'Too Many Requests');
  } else {
    refuse(ctx, 402, 'Payment Required', { tokensLeft });
  }
}

const router = new Router();
router.post('/:tenantId/charges', loadTenant, authenticate, charge);

const app = new Koa();
app.use(finish).use(router.routes()).use(router.allowedMethods());
app.listen(Number(port), '127.0.0.1', 1024);
process.on('SIGTERM', () => process.exit(0));
