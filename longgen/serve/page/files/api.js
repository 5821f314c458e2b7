// Asks the server. Paths are relative, so that the page works behind a proxy that puts it elsewhere.

import { recall, remember } from "./storage.js";

const KEY = "longgen.key";
let key = recall("sessionStorage", KEY) ?? "";
let onKeyNeeded = () => {};

export const getKey = () => key;

/** Lives as long as the tab. */
export function setKey(value) {
  key = value.trim();
  remember("sessionStorage", KEY, key);
}

export function whenKeyIsNeeded(then) {
  onKeyNeeded = then;
}

export class Failure extends Error {
  constructor(message, { status = 0, code = null, retryAfter = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter });
  }
}

const failureOf = (error, more) =>
  new Failure(error?.message ?? "The server gave an answer that is no error object.", { code: error?.code, ...more });

async function request(path, body, signal) {
  const headers = {};
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method: body ? "POST" : "GET", headers, signal, body: body && JSON.stringify(body), cache: "no-store",
      credentials: "omit",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer.");
  }
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({}));
  if (answer.status === 401) onKeyNeeded(Boolean(key));
  throw failureOf(error, { status: answer.status, retryAfter: Number(answer.headers.get("Retry-After")) });
}

export const getJson = async (path) => (await request(path)).json();
export const postJson = async (path, body, signal) => (await request(path, body, signal)).json();

/** The JSON objects of a stream of events. Throws where it ends before its end. */
export async function* events(path, body, signal) {
  const answer = await request(path, body, signal);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        const data = line.slice(6);
        if (data === "[DONE]") return;
        const json = JSON.parse(data);
        if (json.error) throw failureOf(json.error);
        yield json;
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Failure) throw error;
    throw new Failure("The connection to the server broke.");
  }
  throw new Failure("The server broke the answer off.");
}
