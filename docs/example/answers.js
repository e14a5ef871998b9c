// An answer as it comes: the texts of a stream of /v1/chat/completions.

/** Who reads no further ends the call at the provider. */
export async function* texts(reply) {
  for await (const event of events(reply)) {
    if (event === "[DONE]") return;
    const { error, choices } = JSON.parse(event);
    if (error) throw Object.assign(new Error(error.message), { kind: "unavailable" });
    const text = choices[0]?.delta.content;
    if (text) yield text;
    if (choices[0]?.finish_reason === "length") yield " [...]"; // the balance or a limit cuts it off
  }
  throw lost();
}

async function* events(reply) {
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read().catch((cause) => { throw lost(cause); });
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line.startsWith("data: ")) yield line.slice(6).trim();
    }
  } finally {
    reader.cancel().catch(() => {}); // it may have failed already
  }
}

// As the client's own errors are when nobody answers.
const lost = (cause) =>
  Object.assign(new Error("The answer broke off", { cause }), { kind: "offline" });
