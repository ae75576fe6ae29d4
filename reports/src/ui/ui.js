/* Optional: asks for the content again now and then, and replaces it when it has changed. */
(() => {
  const live = document.getElementById("live");
  const from = live && live.dataset.follow;
  if (!from) return;
  const EVERY = 2000;
  let tag = live.dataset.tag || "", paused = false;
  const line = document.createElement("p");
  line.className = "updates";
  const button = document.createElement("button");
  button.type = "button";
  button.className = "control";
  const state = document.createElement("span");
  line.append(state, button);
  live.before(line);
  const say = (text) => { if (state.textContent !== text) state.textContent = text; };
  const label = () => { button.textContent = paused ? "go on" : "pause"; say(paused ? "Updates are paused." : "Updated while the page is open."); };
  button.addEventListener("click", () => { paused = !paused; label(); });
  label();

  const chosen = () => new Set([...live.querySelectorAll("input:checked")].map((box) => box.value));
  const focused = () => (live.contains(document.activeElement) ? [document.activeElement.tagName, document.activeElement.value || document.activeElement.getAttribute("href")] : null);
  const replace = (html) => {
    const boxes = chosen(), focus = focused();
    const scrolled = [...live.querySelectorAll(".scroll")].map((element) => element.scrollLeft);
    live.innerHTML = html;
    live.querySelectorAll("input").forEach((box) => { box.checked = boxes.has(box.value); });
    live.querySelectorAll(".scroll").forEach((element, i) => { element.scrollLeft = scrolled[i] || 0; });
    const again = focus && [...live.querySelectorAll(focus[0])].find((element) => (element.value || element.getAttribute("href")) === focus[1]);
    if (again) again.focus({ preventScroll: true });
    const script = document.createElement("script");
    script.src = "/static/report.js";
    script.onload = () => script.remove();
    document.head.append(script);
  };
  const look = async () => {
    try {
      const answer = await fetch(from, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 304) return label();
      if (!answer.ok) throw new Error(answer.status);
      const html = await answer.text();
      if (paused) return;
      tag = answer.headers.get("ETag") || "";
      replace(html);
      label();
    } catch (error) {
      say("No answer from recalign ui: what is shown may be old.");
    }
  };
  const again = async () => {
    if (!paused && !document.hidden) await look();
    setTimeout(again, EVERY);
  };
  setTimeout(again, EVERY);
})();
