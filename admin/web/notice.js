// One place for what happened, which screen readers say as well.

const area = document.getElementById("notice");
let pending = [];

function message(kind, text) {
  const p = document.createElement("p");
  p.className = `message ${kind}`;
  p.append(...text);
  return p;
}

// notice says something; it stays until the next view. kind is good, warn or bad.
export function notice(kind, ...text) {
  area.replaceChildren(message(kind, text));
}

// go shows another view, or the same one anew, with a notice above it.
export function go(hash, kind, ...text) {
  pending = [message(kind, text)];
  if (location.hash === hash) window.dispatchEvent(new Event("hashchange"));
  else location.hash = hash;
}

// turnNotice is for the frame: a new view begins.
export function turnNotice() {
  area.replaceChildren(...pending);
  pending = [];
}
