// What makes pages live and forms quick. Every page works without it.
"use strict";

// Parts marked data-live are taken anew from the page when the server says that something changed. What somebody writes or chooses in
// stays as it is; who reads keeps their place: the focus, what is unfolded, how far a table was moved sideways.
const places = "a, summary, [tabindex]";
const nameOf = (one) => one.tagName + (one.getAttribute("href") || one.getAttribute("aria-label") || one.textContent);

async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = fresh.getElementById(part.id);
    const at = part.contains(document.activeElement) ? document.activeElement : null;
    if (!other || at?.matches("input, select, textarea, button")) continue;
    const unfolded = [...part.querySelectorAll("details")].map((one) => one.open);
    other.querySelectorAll("details").forEach((one, number) => { one.open = unfolded[number] || false; });
    if (other.innerHTML === part.innerHTML) continue;
    const sideways = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    part.innerHTML = other.innerHTML;
    part.querySelectorAll(".scroll").forEach((one, number) => { one.scrollLeft = sideways[number] || 0; });
    if (at) [...part.querySelectorAll(places)].find((one) => nameOf(one) === nameOf(at))?.focus({ preventScroll: true });
  }
}

if (document.querySelector("[data-live]")) {
  const mark = document.getElementById("live");
  const say = (text) => { if (mark && mark.textContent !== text) mark.textContent = text; };
  const events = new EventSource("/events");
  let waiting = false;
  let again = false;
  const follow = () => {
    again = waiting;
    if (waiting || document.hidden) return;
    waiting = true;
    renew().catch(() => {}).finally(() => setTimeout(() => { waiting = false; if (again) follow(); }, 1000));
  };
  events.addEventListener("changed", follow);
  let opened = false;
  events.addEventListener("open", () => {
    say("Live");
    if (opened) follow(); // what happened in between was not told
    opened = true;
  });
  // it tries again by itself, unless the console refuses: the session has ended, or too many pages are open
  events.addEventListener("error", () => say(events.readyState === EventSource.CLOSED ? "Not live: load this page anew" : "Not live just now"));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) renew().catch(() => {}); });
  addEventListener("pagehide", () => events.close());
}

// A table with a filter over it.
for (const box of document.querySelectorAll("[data-filters]")) {
  const rows = document.querySelectorAll(`#${box.dataset.filters} tbody tr`);
  const told = document.getElementById(`${box.dataset.filters}-found`);
  box.hidden = false;
  box.querySelector("input").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/);
    let found = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      found += row.hidden ? 0 : 1;
    }
    if (told) told.textContent = `${found} of ${rows.length} fields`;
  });
}

// The connect form: each pause in typing has the server look at it, and its findings are put beside the fields.
const form = document.querySelector("form[data-check]");
if (form) {
  let timer = 0;
  let number = 0;
  const check = async () => {
    const mine = ++number;
    const answer = await fetch(form.dataset.check, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok || mine !== number) return;
    show((await answer.json()));
  };
  const show = ({ fields, others, yaml }) => {
    for (const input of form.querySelectorAll("[data-path]")) {
      const text = input.value === "" && !input.dataset.touched ? "" : fields[input.dataset.path] || "";
      const place = document.getElementById(`${input.id}-wrong`);
      input.setAttribute("aria-invalid", text ? "true" : "false");
      if (place && place.textContent !== text) place.textContent = text;
    }
    const list = document.getElementById("others");
    list.replaceChildren(...others.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    list.closest(".note").hidden = others.length === 0;
    const shown = document.getElementById("yaml");
    if (shown && yaml) shown.textContent = yaml;
  };
  form.addEventListener("input", (event) => {
    event.target.dataset.touched = "yes";
    clearTimeout(timer);
    timer = setTimeout(() => check().catch(() => {}), 350);
  });
  // a field of the account's list goes into the target that was being written
  let target = null;
  form.addEventListener("focusin", (event) => {
    if (event.target.matches("[data-takes]")) target = event.target;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-use]");
    if (!button) return;
    const empty = [...form.querySelectorAll("[data-takes='target']")].find((input) => input.value === "");
    const into = target || empty;
    if (!into) return;
    into.value = into.dataset.takes === "target" ? `Attribute: ${button.dataset.use}` : button.dataset.use.split(".").slice(1).join(".");
    into.focus();
    into.dispatchEvent(new Event("input", { bubbles: true }));
  });
  for (const button of document.querySelectorAll("button[data-use]")) button.hidden = false;
}
