// The place for notices. Screen readers read them aloud.

const area = document.getElementById("notice");
let pending = [];

function message(kind, text) {
  const p = document.createElement("p");
  p.className = `message ${kind}`;
  p.append(...text);
  return p;
}

// notice shows a message until the next view opens. kind is good, warn or bad.
export function notice(kind, ...text) {
  area.replaceChildren(message(kind, text));
}

// go opens a view, or reloads the current one, with a notice above it.
export function go(hash, kind, ...text) {
  pending = [message(kind, text)];
  if (location.hash === hash) window.dispatchEvent(new Event("hashchange"));
  else location.hash = hash;
}

// turnNotice shows the notice that go left for the new view. The frame calls it.
export function turnNotice() {
  area.replaceChildren(...pending);
  pending = [];
}
