// Makes and finds elements. Text goes in as text: nothing in this page reads HTML.

export const byId = (id) => document.getElementById(id);

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat()) node.append(child);
  return node;
}

/** An element with attributes (functions are listeners) and children (strings are text; lists of them, too). */
export const element = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);

export const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Changes a text only where it is another one, so that nothing moves or is read out in vain. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Says something to those who hear the page. */
export const announce = (text) => setText(byId("announcer"), text);

/** Browsers give the clipboard to pages of this machine and of TLS; for others there is the old way. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = element("textarea", { class: "unseen" });
  area.value = text;
  document.body.append(area);
  area.select();
  const isDone = document.execCommand("copy");
  area.remove();
  if (!isDone) throw new Error("The browser refuses.");
}

/** A button that copies what the function returns, and says whether it could. */
export function copyButton(text) {
  const button = element("button", { type: "button", class: "plain small" }, "Copy");
  button.addEventListener("click", async () => {
    const word = await copy(text()).then(() => "Copied", () => "Not allowed");
    button.focus();
    setText(button, word);
    announce(word);
    setTimeout(() => setText(button, "Copy"), 2000);
  });
  return button;
}

/** A bar of parts: {name, size} of a whole; what is there is seen, however small. */
export function drawStack(node, parts, whole) {
  const shown = parts.filter((part) => part.size > 0);
  const names = shown.map((part) => part.name).join(" ");
  if (node.dataset.names !== names) {
    node.replaceChildren(...shown.map((part) => element("span", { class: `part ${part.name}` })));
    node.dataset.names = names;
  }
  shown.forEach((part, i) => {
    node.children[i].style.width = `${(100 * part.size) / Math.max(whole, 1)}%`;
  });
}
