// A reply as it comes: its place in the queue, the position in the prompt, the text, and how fast it came.
import { announce, copyButton, drawStack, element, setText } from "./dom.js";
import { count, plural, percent, rate, seconds } from "./format.js";
import { MarkdownView } from "./markdown.js";

const SAY_EVERY = 10_000; // milliseconds, to those who hear the page
const ENDS = { length: "as long as the settings allow", stopped: "stopped" };

/** An element that shows how much of a prompt is read, the part that was found in the cache lighter. */
class Progress {
  root = element("div", { class: "progress" });
  #bar = element("div", { class: "stack", role: "progressbar", "aria-label": "Prompt read", "aria-valuemin": "0" });
  #what = element("span");
  #left = element("span");
  #said = 0;

  constructor() {
    this.root.append(element("p", {}, this.#what, this.#left), this.#bar);
    setText(this.#what, "Waiting for its turn");
    this.#bar.hidden = true;
  }

  update({ total, cache, processed, time_ms, eta_ms }) {
    this.#bar.hidden = false;
    drawStack(this.#bar, [{ name: "found", size: cache }, { name: "read", size: processed - cache }], total);
    this.#bar.setAttribute("aria-valuemax", total);
    this.#bar.setAttribute("aria-valuenow", processed);
    const found = cache > 0 ? `, ${count(cache)} found in the cache` : "";
    setText(this.#what, `Reading: ${count(processed)} of ${plural(total, "token")}${found}`);
    const speed = processed > cache && time_ms > 0 ? `${rate(((processed - cache) * 1000) / time_ms)} tokens/s, ` : "";
    setText(this.#left, eta_ms > 0 ? `${speed}about ${seconds(eta_ms / 1000)} left` : "");
    if (performance.now() - this.#said < SAY_EVERY) return;
    this.#said = performance.now();
    announce(`Reading the prompt, ${percent(processed, total)}, about ${seconds(eta_ms / 1000)} left.`);
  }
}

export class ReplyView {
  root;
  text = "";
  usage = null;
  #progress = new Progress();
  #body = element("div", { class: "text" });
  #notes = element("p", { class: "notes" });
  #buttons = element("div", { class: "buttons" });
  #markdown = new MarkdownView(this.#body);
  #sent = performance.now();
  #first = null;
  #firstTokens = 0;
  #last = null;
  #due = null;
  #afterDraw;

  /** afterDraw is called whenever it has become longer. */
  constructor(name, afterDraw) {
    this.#afterDraw = afterDraw;
    this.root = element("li", { class: "reply", "aria-busy": "true" }, element("h3", { class: "unseen" }, name),
      this.#progress.root, this.#body, this.#notes, this.#buttons);
  }

  progress(progress) {
    this.#progress.update(progress);
  }

  add(text, usage) {
    if (usage) this.usage = usage;
    if (!usage?.completion_tokens && !text) return;
    this.#last = performance.now();
    if (this.#first === null) {
      this.#first = this.#last;
      this.#firstTokens = usage?.completion_tokens ?? 1;
      this.#progress.root.remove();
    }
    this.text += text;
    // Long texts are drawn less often.
    this.#due ??= setTimeout(() => this.#draw(), 30 + this.text.length / 500);
  }

  #draw() {
    clearTimeout(this.#due);
    this.#due = null;
    this.#markdown.update(this.text);
    setText(this.#notes, this.#figures().join(", "));
    this.#afterDraw();
  }

  #figures() {
    const figures = [];
    if (this.#first === null) return figures;
    const tokens = this.usage?.completion_tokens ?? 0;
    const time = (this.#last - this.#first) / 1000;
    if (tokens) figures.push(plural(tokens, "token"));
    if (tokens > this.#firstTokens && time > 0) figures.push(`${rate((tokens - this.#firstTokens) / time)} tokens/s`);
    figures.push(`first token after ${seconds((this.#first - this.#sent) / 1000)}`);
    const cached = this.usage?.prompt_tokens_details?.cached_tokens ?? 0;
    if (cached) figures.push(`${count(cached)} of ${count(this.usage.prompt_tokens)} prompt tokens from the cache`);
    return figures;
  }

  /** why: a finish_reason, or "stopped"; failure: an Error instead. */
  end(why, failure, retry) {
    this.#progress.root.remove();
    this.#draw();
    this.root.setAttribute("aria-busy", "false");
    if (failure) {
      const wait = failure.retryAfter ? ` Try again in ${seconds(failure.retryAfter)}.` : "";
      this.#body.after(element("p", { class: "failure", role: "alert" }, failure.message + wait));
    } else if (!this.text) {
      this.#body.replaceChildren(element("p", { class: "faint" }, why === "stopped" ? "Stopped before the first word." : "The model wrote nothing."));
    }
    const end = ENDS[why];
    setText(this.#notes, [...(end ? [end] : []), ...this.#figures()].join(", "));
    if (this.text) this.#buttons.append(copyButton(() => this.text));
    this.#buttons.append(element("button", { type: "button", class: "plain small retry", click: retry }, "Try again"));
    if (!failure) announce(why === "stopped" ? "Stopped." : `The reply is there: ${this.#figures().slice(0, 2).join(", ")}.`);
  }
}
