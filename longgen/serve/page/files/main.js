// Puts the page together, and knows the keys that work everywhere.
import { whenKeyIsNeeded } from "./api.js";
import { setUpAttachments } from "./attachments.js";
import { isReplying, setUpChat, stop } from "./chat.js";
import { byId } from "./dom.js";
import { lookNow, setUpServerView, uncoverChat } from "./server_view.js";
import { openKey, setUpSettings } from "./settings.js";

whenKeyIsNeeded(openKey);
setUpSettings(lookNow);
setUpAttachments();
setUpChat();
setUpServerView();

document.addEventListener("keydown", (event) => {
  if (byId("settings").open) return;
  if (event.key === "Escape") {
    if (isReplying()) stop();
    else uncoverChat();
  }
  const isTyping = event.target.matches("input, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    uncoverChat();
    byId("message").focus();
  }
});
byId("message").focus();
