// Texts that a message carries: chosen, dropped or pasted files. They go before what is asked about them,
// so that the next question finds them in the prefix cache.
import { postJson } from "./api.js";
import { announce, byId, element } from "./dom.js";
import { bytes, plural } from "./format.js";

const LONG_PASTE = 8000; // characters; more become a file
const MAX_BYTES = 32 << 20; // a message with them stays below what the server takes

let files = []; // {name, size, text, tokens, problem}

export const attached = () => files;

const state = (file) =>
  file.problem ?? [bytes(file.size), file.tokens === null ? null : plural(file.tokens, "token")].filter(Boolean).join(", ");

/** A file as it is shown beside a message. */
export const fileCard = (file, ...more) =>
  element("li", { class: file.problem ? "file wrong" : "file" }, element("span", { class: "file-name" }, file.name),
    element("span", { class: "file-state" }, state(file)), ...more);

function show() {
  byId("files").replaceChildren(...files.map((file) =>
    fileCard(file, element("button", { type: "button", class: "remove", "aria-label": `Remove ${file.name}`, click: () => remove(file) }, "×"))));
}

function remove(file) {
  files = files.filter((other) => other !== file);
  show();
  announce(`${file.name} removed.`);
  byId("message").focus();
}

export function clearAttached() {
  files = [];
  show();
}

/** The text of a file, which must be UTF-8, as everything that is text is today. */
async function readText(blob) {
  if (blob.size > MAX_BYTES) throw new Error(`too large: expected at most ${bytes(MAX_BYTES)}`);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(await blob.arrayBuffer());
  if (text.includes("\0")) throw new TypeError();
  return text;
}

async function add(blob, name) {
  const file = { name, size: blob.size, text: "", tokens: null, problem: null };
  files.push(file);
  try {
    file.text = await readText(blob);
    if (!file.text.trim()) file.problem = "empty";
  } catch (error) {
    file.problem = error instanceof TypeError ? "not a text file (expected UTF-8)" : error.message;
  }
  show();
  if (file.problem) return announce(`${name}: ${file.problem}.`);
  try {
    file.tokens = (await postJson("tokenize", { prompt: file.text, add_special_tokens: false })).count;
    announce(`${name} added, ${plural(file.tokens, "token")}.`);
  } catch (error) {
    file.problem = error.status === 400 ? error.message : null;
  }
  show();
}

const addAll = (list) => Promise.all([...list].map((file) => add(file, file.name)));

/** What the model reads of a message. */
export const withFiles = (text, list) =>
  list.map((file) => `[${file.name}]\n${file.text.trimEnd()}\n[end of ${file.name}]\n\n`).join("") + text;

export function setUpAttachments() {
  const input = byId("file");
  byId("attach").addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const chosen = [...input.files];
    input.value = "";
    await addAll(chosen);
    byId("message").focus();
  });
  byId("message").addEventListener("paste", (event) => {
    const data = event.clipboardData;
    const text = data.getData("text/plain");
    if (data.files.length === 0 && text.length < LONG_PASTE) return;
    event.preventDefault();
    if (data.files.length) addAll(data.files);
    else add(new Blob([text]), "pasted text");
  });
  const composer = byId("composer");
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    composer.classList.toggle("drop", event.type === "dragover");
    if (event.type === "drop") addAll(event.dataTransfer.files);
  };
  for (const type of ["dragover", "dragleave", "drop"]) document.addEventListener(type, over);
}
