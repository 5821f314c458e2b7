// Shows the Markdown that models write: headings, lists, code, strong and emphasised text. All else is text
// as it stands, and all of it goes in as text. Only what has changed since the last time is made anew.
import { copyButton, element } from "./dom.js";

// A mark is closed within so many characters, or is none.
const REACH = 2000;
const MARKS = [["**", "strong"], ["*", "em"], ["`", "code"]];

/** Where a mark at `at` opens: its end, and the text between. */
function marked(text, at) {
  for (const [mark, tag] of MARKS) {
    if (!text.startsWith(mark, at)) continue;
    const begin = at + mark.length;
    const inside = text.slice(begin, begin + REACH);
    const length = inside.indexOf(mark);
    if (length > 0 && (tag === "code" || (inside[0].trim() && inside[length - 1].trim()))) {
      return { tag, text: inside.slice(0, length), end: begin + length + mark.length };
    }
  }
  return null;
}

function inline(text) {
  const nodes = [];
  let begin = 0;
  for (const { index } of text.matchAll(/[*`]/g)) {
    if (index < begin) continue;
    const found = marked(text, index);
    if (!found) continue;
    nodes.push(text.slice(begin, index), element(found.tag, {}, found.text));
    begin = found.end;
  }
  nodes.push(text.slice(begin));
  return nodes;
}

function codeBlock(code, language) {
  return element("figure", { class: "code" }, element("figcaption", {}, language || "code", copyButton(() => code)),
    element("pre", { tabindex: "0" }, element("code", {}, code)));
}

const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;

/** The blocks of a text: {kind, source, ...}. */
function blocks(text) {
  const found = [];
  const lines = text.split("\n");
  const add = (kind, line, more = {}) => {
    const last = found.at(-1);
    if (last?.kind === kind && last.isOpen) {
      last.lines.push(line);
    } else {
      found.push({ kind, lines: [line], isOpen: true, ...more });
    }
  };
  let fence = null;
  for (const line of lines) {
    const mark = /^(`{3,}|~{3,})\s*([^\s`]*)$/.exec(line.trim());
    if (fence) {
      if (mark && mark[1].startsWith(fence) && !mark[2]) {
        fence = null;
        found.at(-1).isOpen = false;
      } else {
        found.at(-1).lines.push(line);
      }
    } else if (mark) {
      fence = mark[1];
      found.push({ kind: "code", lines: [], language: mark[2], isOpen: true });
    } else if (!line.trim()) {
      if (found.length) found.at(-1).isOpen = false;
    } else if (/^#{1,6}\s/.test(line)) {
      found.push({ kind: "heading", lines: [line.replace(/^#+\s+/, "")], isOpen: false });
    } else if (ITEM.test(line)) {
      add(/^\s*\d/.test(line) ? "ol" : "ul", line);
    } else if (found.at(-1)?.isOpen && ["ol", "ul"].includes(found.at(-1).kind)) {
      found.at(-1).lines.push(line);
    } else {
      add("p", line);
    }
  }
  return found;
}

function list(tag, lines) {
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item) items.push({ number: parseInt(item[2], 10), text: item[3], depth: Math.min(4, item[1].length >> 1) });
    else items.at(-1).text += `\n${line.trim()}`;
  }
  return element(tag, tag === "ol" ? { start: items[0].number } : {},
    items.map((item) => element("li", { class: `depth-${item.depth}` }, inline(item.text))));
}

function show(block) {
  if (block.kind === "code") return codeBlock(block.lines.join("\n"), block.language);
  if (block.kind === "heading") return element("h3", {}, inline(block.lines[0]));
  if (block.kind === "p") return element("p", {}, inline(block.lines.join("\n")));
  return list(block.kind, block.lines);
}

export class MarkdownView {
  #root;
  #shown = []; // what each child was made of

  constructor(root) {
    this.#root = root;
  }

  update(text) {
    const now = blocks(text).map((block) => ({ block, source: [block.kind, block.language, ...block.lines].join("\n") }));
    const alike = now.findIndex(({ source }, i) => source !== this.#shown[i]);
    const first = alike < 0 ? now.length : alike;
    while (this.#root.children.length > first) this.#root.lastChild.remove();
    for (const { block } of now.slice(first)) this.#root.append(show(block));
    this.#shown = now.map(({ source }) => source);
  }
}
