// Requests to the service that serves this page, and to nothing else.

import { say } from "/page/words.js";

export const MOST_FILE_BYTES = 32_000_000;

const encoded = (id) => id.split("/").map(encodeURIComponent).join("/");
export const media = (id, what = "") => `/v1/media/${encoded(id)}${what && `/${what}`}`;
export const similarTo = (id) => `/v1/similar/${encoded(id)}`;

/** An address with a query; what is undefined, null or empty is left out. */
export function asked(address, facts) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(facts)) if (value !== undefined && value !== null && value !== "") query.set(key, value);
  return `${address}?${query}`;
}

/** What went wrong in one sentence: problem+json, a list of faulty fields, or the status. */
function why(body, answer) {
  const told = body.detail ?? body.title;
  if (typeof told === "string") return told;
  if (Array.isArray(told)) return told.map((one) => [one.loc?.at(-1), one.msg].filter(Boolean).join(": ")).join("; ");
  return `${answer.status} ${answer.statusText}`.trim();
}

/** JSON of an answer. */
export const ask = async (address, options) => (await answered(address, options)).body;

/** The same with the answer's headers. Errors have `status`, or none where nothing answered. */
export async function answered(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error(say("away"));
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(why(body, answer)), { status: answer.status });
  return { body, headers: answer.headers };
}

export const post = (address, body, options = {}) =>
  ask(address, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), ...options });
