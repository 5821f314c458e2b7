// The requests that run and wait, each with a picture of the tokens that its pages hold.
import { byId, element, setText, svg } from "./dom.js";
import { bytes, count, percent, plural, seconds } from "./format.js";

const WIDTH = 1000; // of a picture, in its own units
const LANE = 8;
const GAP = 3;
// What is there is seen, however narrow it would be.
const LEAST_WIDTH = 5;
// Blocks on the stride that stand closer together are drawn as one band.
const LEAST_PITCH = 18;

/** What a layer of a class holds of the first tokens: {name, from, to, share}. */
function ranges(layer, tokens, block, scale) {
  if (layer.kind === "full") return [{ name: "full", from: 0, to: tokens }];
  if (layer.kind === "window") return [{ name: "window", from: Math.max(0, tokens - layer.window_tokens), to: tokens }];
  const sink = Math.min(tokens, layer.sink_blocks * block);
  const oldest = Math.max(0, Math.ceil(tokens / block) - layer.window_blocks) * block;
  const held = [{ name: "sink", from: 0, to: sink }];
  if (layer.stride_blocks > 0 && oldest > sink) held.push(...strides(layer.stride_blocks, sink, oldest, block, scale));
  return [...held, { name: "window", from: Math.max(sink, oldest), to: tokens }];
}

/** Each head has blocks of its own on the stride; the picture is that of one. */
function strides(every, from, to, block, scale) {
  if (every * block * scale < LEAST_PITCH) return [{ name: "stride", from, to, share: Math.max(0.35, 1 / every) }];
  const held = [];
  for (let at = Math.ceil(from / block / every) * every * block; at < to; at += every * block) {
    held.push({ name: "stride", from: at, to: Math.min(to, at + block) });
  }
  return held;
}

function lane(layer, request, y, { block_tokens: block }, end) {
  const scale = WIDTH / end;
  const bar = (name, from, to, share) =>
    svg("rect", { class: name, x: from * scale, y, width: Math.max(LEAST_WIDTH, (to - from) * scale), height: LANE, ...(share && { opacity: share }) });
  const held = ranges(layer, request.tokens_in_cache, block, scale);
  return [bar("track", 0, request.prompt_tokens + request.max_new_tokens),
    ...held.filter(({ from, to }) => to > from).map(({ name, from, to, share }) => bar(name, from, to, share))];
}

function picture(request, state, end) {
  const { layers } = state;
  const height = layers.length * (LANE + GAP) - GAP;
  const at = (request.prompt_tokens * WIDTH) / end;
  return svg("svg", { class: "strip", viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", height: height * 0.9, "aria-hidden": "true" },
    ...layers.flatMap((layer, i) => lane(layer, request, i * (LANE + GAP), state, end)),
    svg("rect", { class: "prompt-end", x: at - 1.5, y: 0, width: 3, height }));
}

const PHASES = {
  prefill: (request) => `reads, ${percent(Math.min(request.tokens_in_cache, request.prompt_tokens), request.prompt_tokens)}`
    + (request.prefill_seconds_left >= 0.1 ? `, ${seconds(request.prefill_seconds_left)} left` : ""),
  decode: () => "writes",
  paused: () => "waits for its reader",
};

function figures(request, pages) {
  const found = request.cached_tokens > 0 ? `, ${count(request.cached_tokens)} found` : "";
  const done = Math.min(request.tokens_in_cache, request.prompt_tokens);
  return [`Prompt ${count(done)} of ${count(request.prompt_tokens)}${found}`,
    `reply ${count(request.generated_tokens)} of ${count(request.max_new_tokens)}`,
    `${plural(request.reserved_pages, "page")} reserved, ${bytes(request.reserved_pages * pages.bytes_of_one)}`];
}

function runningCard(request, state, end) {
  return element("li", { class: `request ${request.phase}` },
    element("p", { class: "request-head" }, element("span", {}, `Request ${request.id}`), element("span", { class: "phase" }, PHASES[request.phase](request))),
    picture(request, state, end),
    element("p", { class: "faint" }, figures(request, state.pages).join(" · ")));
}

const waitingCard = (request) =>
  element("li", { class: "request" },
    element("p", { class: "request-head" }, element("span", {}, `Request ${request.id}`), element("span", { class: "phase" }, "waits")),
    element("p", { class: "faint" }, `${plural(request.prompt_tokens, "prompt token")}, first reply in about ${seconds(request.prefill_seconds_left)}`));

let shown = "";

export function drawRequests(state) {
  const { running, waiting, each, next } = state.requests;
  const now = JSON.stringify([each, next]);
  if (now === shown) return;
  shown = now;
  setText(byId("requests-title"), running + waiting === 0 ? "Requests" : `Requests: ${running} running, ${waiting} waiting`);
  const end = Math.max(1, ...each.map((request) => request.prompt_tokens + request.max_new_tokens));
  const rest = waiting - next.length;
  byId("requests").replaceChildren(
    ...each.map((request) => runningCard(request, state, end)), ...next.map(waitingCard),
    ...(rest > 0 ? [element("li", { class: "faint" }, `and ${count(rest)} more`)] : []),
    ...(running + waiting === 0 ? [element("li", { class: "faint" }, "None now. While one runs, its strip shows which of its tokens each class of layers keeps.")] : []));
}
