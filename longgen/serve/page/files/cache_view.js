// What the KV cache holds: whose its pages are, and which class of layers they are for.
import { byId, drawStack, element, setText } from "./dom.js";
import { bytes, count, plural } from "./format.js";

const total = (kinds) => kinds.full + kinds.sink + kinds.stride + kinds.window;

/** Whose the pages are, in pages. A request may come to hold what is promised; it never waits for it. */
function owners(pages) {
  const held = pages.in_use - pages.cached;
  return [
    { name: "used", label: "In use by requests", size: held },
    { name: "promised", label: "Promised to them", size: Math.max(0, pages.reserved - held) },
    { name: "kept", label: "Kept as prefixes", size: pages.cached },
    { name: "free", label: "Free", size: pages.capacity - pages.reserved - pages.cached },
  ];
}

const part = ({ name, label }) =>
  element("div", {}, element("dt", {}, element("span", { class: `swatch ${name}`, "aria-hidden": "true" }), label),
    element("dd", { class: "faint" }), element("dd"));

function drawMemory(pages) {
  const parts = owners(pages);
  setText(byId("held"), bytes(pages.in_use * pages.bytes_of_one));
  setText(byId("of-capacity"), `of ${bytes(pages.capacity * pages.bytes_of_one)}`);
  drawStack(byId("memory"), parts.filter(({ name }) => name !== "free"), pages.capacity);
  const list = byId("memory-parts");
  if (list.childElementCount === 0) list.append(...parts.map(part));
  parts.forEach(({ size }, i) => {
    setText(list.children[i].children[1], plural(size, "page"));
    setText(list.children[i].children[2], bytes(size * pages.bytes_of_one));
  });
}

const sum = (list) => list.reduce((all, one) => all + one, 0);

/** The kinds of pages that the model's layers have: {name, label, sees}. */
function kindsOf({ layers, block_tokens: block }) {
  const of = (test) => layers.filter(test);
  const say = (classes, sees) => `${plural(sum(classes.map((one) => one.layers)), "layer")}, ${sees}`;
  const list = (values) => [...new Set(values)].map(count).join(" or ");
  const full = of((one) => one.kind === "full");
  const sinks = of((one) => one.sink_blocks > 0);
  const strides = of((one) => one.stride_blocks > 0);
  const windows = of((one) => one.window_blocks > 0 || one.window_tokens > 0);
  const reach = (one) => one.window_tokens ?? one.window_blocks * block;
  return [
    { name: "full", label: "Full", classes: full, sees: "every token" },
    { name: "sink", label: "Sinks", classes: sinks, sees: `first ${list(sinks.map((one) => one.sink_blocks * block))} tokens` },
    { name: "stride", label: "Strides", classes: strides, sees: `each ${list(strides.map((one) => one.stride_blocks))}th block` },
    { name: "window", label: "Windows", classes: windows, sees: `last ${list(windows.map(reach))} tokens` },
  ].filter(({ classes }) => classes.length).map(({ name, label, classes, sees }) => ({ name, label, sees: say(classes, sees) }));
}

const kindRow = ({ name, label, sees }) =>
  element("li", { class: name },
    element("span", { class: "kind-name" }, label), element("span", { class: "stack", "aria-hidden": "true" }),
    element("span", { class: "kind-size" }),
    element("span", { class: "kind-foot" }, element("span", {}, sees), element("span", { class: "kind-pages" })));

let shownLayers = "";

function drawKinds(state) {
  const { pages } = state;
  const kinds = kindsOf(state);
  const list = byId("kinds");
  const layers = JSON.stringify(state.layers);
  if (layers !== shownLayers) list.replaceChildren(...kinds.map(kindRow));
  shownLayers = layers;
  const most = Math.max(...kinds.map(({ name }) => pages.own_by_kind[name] + pages.cached_by_kind[name]));
  kinds.forEach(({ name }, i) => {
    const used = pages.own_by_kind[name];
    const kept = pages.cached_by_kind[name];
    const row = list.children[i];
    drawStack(row.querySelector(".stack"), [{ name: "used", size: used }, { name: "kept", size: kept }], most);
    setText(row.querySelector(".kind-size"), bytes((used + kept) * pages.bytes_of_one));
    setText(row.querySelector(".kind-pages"), `${count(used)} + ${plural(kept, "page")}`);
  });
}

/** What running requests read, beside what they would read of a model with full layers alone. */
function drawSaving({ pages }) {
  const read = total(pages.read_by_kind) * pages.bytes_of_one;
  const full = pages.read_bytes_if_full;
  const isWorthSaying = read > 0 && full > 1.02 * read;
  setText(byId("saving"), isWorthSaying
    ? `Running requests read ${bytes(read)}. With full layers alone it would be ${bytes(full)}, ${(full / read).toFixed(1)} times as much.` : "");
}

export function drawCache(state) {
  drawMemory(state.pages);
  drawKinds(state);
  drawSaving(state);
}
