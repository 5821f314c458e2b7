// What the browser keeps; nothing where it keeps nothing.

/** area: "localStorage", or "sessionStorage" for as long as the tab lives. */
export function recall(area, name) {
  try {
    return window[area].getItem(name);
  } catch {
    return null;
  }
}

export function remember(area, name, value) {
  try {
    if (value) window[area].setItem(name, value);
    else window[area].removeItem(name);
  } catch {
    // It is there until the page is left.
  }
}
