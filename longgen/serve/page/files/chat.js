// The conversation: what was said, and a reply on its way.
import { events, postJson } from "./api.js";
import { attached, clearAttached, fileCard, withFiles } from "./attachments.js";
import { announce, byId, element, setText } from "./dom.js";
import { count } from "./format.js";
import { ReplyView } from "./reply_view.js";
import { drawing, settings } from "./settings.js";

// What a template adds to each message is less, in bytes.
const ROOM_OF_A_MESSAGE = 64;
// A reply for which there is no room would be none.
const LEAST_TOKENS = 16;

const log = byId("log");
const message = byId("message");
let turns = []; // {role, content}: what the model reads
let stopper = null; // of the reply on its way
let server = { model: "The model", context: Infinity, has_chat_template: true };

export const isReplying = () => stopper !== null;
export const setServer = (state) => {
  server = state;
};

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 80;
const scrollToEnd = () => {
  log.scrollTop = log.scrollHeight;
};

function showMessage(text, files) {
  const card = element("li", { class: "mine" }, element("h3", { class: "unseen" }, "You"));
  if (files.length) card.append(element("ul", { class: "files" }, ...files.map((file) => fileCard(file))));
  if (text) card.append(element("p", { class: "text" }, text));
  byId("messages").append(card);
  byId("welcome").hidden = true;
}

const conversation = () =>
  settings.system ? [{ role: "system", content: settings.system }, ...turns] : turns;

/** Where to ask, and what: a model without a template goes on with the text as it stands. */
function question() {
  if (!server.has_chat_template) {
    return { path: "v1/completions", ask: { prompt: turns.map((turn) => turn.content).join("") } };
  }
  return { path: "v1/chat/completions", ask: { messages: conversation() } };
}

/** The longest reply that there is room for. Tokens are counted only where that could be too few. */
async function replyTokens(ask, signal) {
  const bytes = new TextEncoder().encode(JSON.stringify(ask)).length + ROOM_OF_A_MESSAGE * (turns.length + 1);
  if (bytes + settings.max_tokens <= server.context) return settings.max_tokens;
  const { count: tokens } = await postJson("tokenize", ask, signal);
  const room = server.context - tokens;
  if (room < LEAST_TOKENS) {
    throw new Error(`The conversation has ${count(tokens)} tokens, of ${count(server.context)} that the model can read and write. `
      + "Begin a new chat, or use a shorter text.");
  }
  return Math.min(settings.max_tokens, room);
}

async function reply(view, signal) {
  const { path, ask } = question();
  const body = {
    ...ask, ...drawing(), max_tokens: await replyTokens(ask, signal), stream: true, return_progress: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  let end = null;
  for await (const event of events(path, body, signal)) {
    if (event.prompt_progress) view.progress(event.prompt_progress);
    const choice = event.choices[0];
    view.add(choice?.delta?.content ?? choice?.text ?? "", event.usage);
    end = choice?.finish_reason ?? end;
  }
  return end;
}

function setReplying(isNow) {
  const hadFocus = document.activeElement === byId(isNow ? "send" : "stop");
  byId("send").hidden = isNow;
  byId("stop").hidden = !isNow;
  if (hadFocus) (isNow ? byId("stop") : message).focus();
  document.dispatchEvent(new Event("replying"));
}

async function answer() {
  stopper = new AbortController();
  let follows = true;
  const view = new ReplyView(server.model, () => follows && scrollToEnd());
  const watch = () => {
    follows = isAtEnd();
  };
  document.querySelector(".retry")?.remove(); // only the last reply can be had again
  byId("messages").append(view.root);
  setReplying(true);
  scrollToEnd();
  log.addEventListener("scroll", watch);
  let end = null;
  let failure = null;
  try {
    end = await reply(view, stopper.signal);
  } catch (error) {
    if (error.name === "AbortError") end = "stopped";
    else failure = error;
  }
  log.removeEventListener("scroll", watch);
  stopper = null;
  if (!view.root.isConnected) return setReplying(false); // another conversation has begun
  if (view.text) turns.push({ role: "assistant", content: view.text });
  view.end(end, failure, () => again(view));
  if (follows) scrollToEnd();
  const total = view.usage ? view.usage.prompt_tokens + view.usage.completion_tokens : 0;
  setText(byId("room"), total ? `${count(total)} of ${count(server.context)} tokens` : "");
  setReplying(false);
}

function again(view) {
  if (isReplying()) return;
  if (turns.at(-1)?.role === "assistant") turns.pop();
  view.root.remove();
  message.focus();
  answer();
}

/** Adds to what the user said. Templates want turns that alternate, and the last one may have no reply. */
function say(content) {
  if (turns.at(-1)?.role === "user") turns.at(-1).content += `\n\n${content}`;
  else turns.push({ role: "user", content });
}

function send() {
  const text = message.value.trim();
  const files = attached();
  if (isReplying()) return announce("The reply is not complete. Escape stops it.");
  if (!text && files.length === 0) return;
  const wrong = files.find((file) => file.problem);
  if (wrong) return announce(`${wrong.name}: ${wrong.problem}. Remove it first.`);
  say(withFiles(text, files));
  showMessage(text, files);
  message.value = "";
  grow();
  clearAttached();
  answer();
}

export const stop = () => stopper?.abort();

function begin() {
  turns = [];
  byId("messages").replaceChildren();
  stop();
  byId("welcome").hidden = false;
  setText(byId("room"), "");
  clearAttached();
  announce("A new chat.");
  message.focus();
}

function grow() {
  message.style.height = "auto";
  message.style.height = `${message.scrollHeight}px`;
}

export function setUpChat() {
  byId("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  message.addEventListener("input", grow);
  message.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  byId("stop").addEventListener("click", stop);
  byId("new-chat").addEventListener("click", begin);
}
