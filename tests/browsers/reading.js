// What an app reads of replies and errors, alike for both SDKs.

// What libraries that watch a page add to each request of it, and an app of its own.
export const OF_LIBRARIES = {
  baggage: "sentry-trace_id=1",
  "cache-control": "no-cache",
  "sentry-trace": "12345678123456781234567812345678-1234567812345678-1",
  traceparent: "00-12345678123456781234567812345678-1234567812345678-01",
  tracestate: "a=b",
  "x-app-version": "1.2.3",
  "x-datadog-trace-id": "1",
  "x-request-id": "of-the-page",
  "x-requested-with": "XMLHttpRequest",
};

export const said = (content) => [{ role: "user", content }];

export function spent(response) {
  const [charged, left] = ["x-tokens-charged", "x-tokens-left"].map((name) =>
    response.headers.get(name),
  );
  return { charged, left };
}

export async function refusal(promise) {
  try {
    await promise;
  } catch (error) {
    const header = (name) => error.headers?.get(name) ?? null;
    return {
      status: error.status ?? null,
      body: error.error ?? null,
      message: error.message,
      requestId: error.requestID ?? null,
      retryAfter: header("retry-after"),
      shouldRetry: header("x-should-retry"),
      tokensLeft: header("x-tokens-left"),
    };
  }
  throw new Error("it was not refused");
}

// The cases in which a first request is refused; `create` makes one, with the text if one is given.
export function refusals(create) {
  const refused = (settings, ...text) => refusal(create(settings, ...text));
  return {
    wrongKey: (settings) => refused({ ...settings, key: "none" }),
    unpaid: (settings) => refused({ ...settings, key: settings.poorKey }, settings.long),
    limited: (settings) => refused({ ...settings, key: settings.limitedKey }),
    noModel: (settings) => refused({ ...settings, ...settings.withoutModels }),
    unknownTenant: (settings) => refused({ ...settings, tenant: "none" }),
    redisAway: (settings) => refused({ ...settings, ...settings.away }),
  };
}
