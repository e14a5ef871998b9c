// What people are told when something fails. By kind: those of the client, see docs/client.md.

const WORDS = {
  "payment": ({ tokensLeft }, user) =>
    `${lack(tokensLeft)} ${user?.signedIn ? "Buy some to go on." : "Sign in to get more."}`,
  "limit": ({ retryAfter }) => `That was a lot in a short time. Try again ${after(retryAfter)}.`,
  "offline": () => "There is no connection. Your question is kept: try again when you are online.",
  "unavailable": () => "The service has a problem right now. Please try again in a moment.",
  "sign-in": (_, user) =>
    user?.signedIn
      ? "You were signed out. Sign in again: everything you have is still yours."
      : "Please sign in for that.",
  "refused": ({ message }) =>
    /access_denied/.test(message) ? "You did not sign in. Nothing has changed." : message,
};

export const words = (error, user) =>
  WORDS[error.kind]?.(error, user) ?? "Something went wrong on this page. Please load it again.";

function lack(left) {
  if (left === 0) return "You have no tokens left.";
  return left ? `This needs more than your ${left} tokens.` : "This needs more tokens than you have.";
}

function after(seconds) {
  if (!seconds) return "in a moment";
  const [count, unit] = seconds < 100 ? [seconds, "second"] : [Math.ceil(seconds / 60), "minute"];
  return `in ${count} ${unit}${count === 1 ? "" : "s"}`;
}
