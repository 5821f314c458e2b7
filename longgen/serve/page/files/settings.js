// How replies are drawn; kept in this browser, but for the key, which the tab has.
import { getKey, setKey } from "./api.js";
import { byId } from "./dom.js";
import { recall, remember } from "./storage.js";

const STORE = "longgen.settings";
const DEFAULTS = { system: "", temperature: 0.7, top_p: 0.95, max_tokens: 1024, seed: null };
const NUMBERS = ["temperature", "top_p", "max_tokens", "seed"];

function stored() {
  try {
    const found = JSON.parse(recall("localStorage", STORE) ?? "{}");
    return Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, found[name] ?? DEFAULTS[name]]));
  } catch {
    return { ...DEFAULTS };
  }
}

export const settings = stored();
const dialog = byId("settings");

function show() {
  for (const name of Object.keys(DEFAULTS)) byId(name).value = settings[name] ?? "";
  byId("key").value = getKey();
}

/** Takes what is valid; of the rest the browser says what it should be, and the old value stays. */
function take() {
  settings.system = byId("system").value;
  for (const name of NUMBERS) {
    const input = byId(name);
    if (input.validity.valid) settings[name] = input.value === "" ? null : Number(input.value);
  }
  remember("localStorage", STORE, JSON.stringify(settings));
}

/** What a request says of how to draw. */
export function drawing() {
  const { temperature, top_p, seed } = settings;
  return seed === null ? { temperature, top_p } : { temperature, top_p, seed };
}

export function openSettings() {
  if (dialog.open) return;
  show();
  dialog.showModal();
}

export function openKey(wasRefused) {
  byId("key-hint").textContent = wasRefused ? "The server does not know this key." : "This server needs a key.";
  openSettings();
  byId("key").focus();
}

export function setUpSettings(onKey) {
  byId("open-settings").addEventListener("click", openSettings);
  byId("reset").addEventListener("click", () => {
    Object.assign(settings, DEFAULTS);
    show();
    take();
  });
  dialog.addEventListener("input", take);
  dialog.addEventListener("close", () => {
    setKey(byId("key").value);
    onKey(getKey() !== "");
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  });
}
