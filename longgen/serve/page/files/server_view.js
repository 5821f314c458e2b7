// Looks at the server again and again, and shows how it is. Rests while nobody sees the page.
import { getJson } from "./api.js";
import { drawCache } from "./cache_view.js";
import { isReplying, setServer } from "./chat.js";
import { byId, setText, svg } from "./dom.js";
import { count, percent, rate } from "./format.js";
import { drawRequests } from "./request_view.js";

const BUSY_MS = 400;
const IDLE_MS = 2000;
const SPARK_SECONDS = 60;
const WORDS = { ok: "ready", starting: "starting", draining: "ends soon", failed: "failed" };

let timer = null;
let samples = []; // {time, generated}
let needsKey = false;

function showStatus(status, text) {
  byId("status").dataset.status = status;
  setText(byId("status-text"), text);
}

/** Tokens a second between two samples, and a minute of them as a line. */
function drawSpeed(generated) {
  const time = performance.now() / 1000;
  if (samples.length && generated < samples.at(-1).generated) samples = []; // another server
  samples = [...samples.filter((sample) => time - sample.time < SPARK_SECONDS), { time, generated }];
  const speeds = samples.slice(1).map((sample, i) => ({
    age: time - sample.time, speed: (sample.generated - samples[i].generated) / (sample.time - samples[i].time),
  }));
  const highest = Math.max(1, ...speeds.map(({ speed }) => speed));
  const points = speeds.map(({ age, speed }) => `${(60 - age).toFixed(2)},${(23 - (21 * speed) / highest).toFixed(2)}`);
  byId("spark").replaceChildren(...(points.length > 1 ? [svg("polyline", { points: points.join(" "), "vector-effect": "non-scaling-stroke" })] : []));
  const recent = samples.find((sample) => time - sample.time < 2) ?? samples.at(-1);
  setText(byId("speed"), recent.time < time ? rate((generated - recent.generated) / (time - recent.time)) : "0");
}

function drawTotals({ tokens, steps }) {
  if (tokens.looked_up) setText(byId("hits"), `${count(tokens.found)} of ${count(tokens.looked_up)}, ${percent(tokens.found, tokens.looked_up)}`);
  if (steps.measured_seconds > 0) setText(byId("predicted"), (steps.predicted_seconds / steps.measured_seconds).toFixed(2));
}

function show(state) {
  setServer(state);
  setText(byId("model"), state.model);
  document.title = `${state.model} – longgen`;
  showStatus(state.status, `${WORDS[state.status]}, ${count(state.context)} tokens of context`);
  drawCache(state);
  drawRequests(state);
  drawSpeed(state.tokens.generated);
  drawTotals(state);
}

async function look() {
  clearTimeout(timer);
  let wait = IDLE_MS;
  try {
    const state = await getJson("server/state");
    show(state);
    if (isReplying() || state.requests.running + state.requests.waiting > 0) wait = BUSY_MS;
  } catch (error) {
    if (error.status === 401) {
      needsKey = true;
      return showStatus("failed", "needs an API key");
    }
    const isStarting = error.status === 503;
    showStatus(isStarting ? "starting" : "failed", error.message);
    if (isStarting) wait = BUSY_MS;
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, wait);
}

/** For when there may be something new to see. */
export function lookNow(hasKey) {
  if (needsKey && !hasKey) return;
  needsKey = false;
  look();
}

// The panel stands beside the conversation where there is room, else over it.
const hasRoom = window.matchMedia("(min-width: 60rem)");
const isOpen = () => !byId("server").hidden;

function open(isNow) {
  byId("server").hidden = !isNow;
  byId("toggle-server").setAttribute("aria-expanded", isNow);
  document.querySelector(".chat").inert = isNow && !hasRoom.matches;
}

export function uncoverChat() {
  if (isOpen() && !hasRoom.matches) open(false);
}

export function setUpServerView() {
  document.addEventListener("visibilitychange", () => !document.hidden && lookNow(false));
  document.addEventListener("replying", () => lookNow(false));
  byId("toggle-server").addEventListener("click", () => open(!isOpen()));
  hasRoom.addEventListener("change", () => open(isOpen()));
  open(hasRoom.matches);
  look();
}
