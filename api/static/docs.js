"use strict";
// Sends what the forms of /docs hold, and shows what comes back. The key stays in its field: it is stored nowhere.

const LONGEST = 200000;

for (const part of document.querySelectorAll("[data-scripted]")) part.hidden = false;
for (const part of document.querySelectorAll("[data-unscripted]")) part.remove();

for (const form of document.querySelectorAll("form[data-path]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  const example = form.querySelector("[data-place=example]");
  if (example) example.addEventListener("change", () => show_example(form, example.selectedOptions[0]));
}

// A link to an operation that is followed opens what can be tried there.
window.addEventListener("hashchange", open_target);
open_target();

function open_target() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const tried = target && target.closest("article") && target.closest("article").querySelector("details.try");
  if (tried) tried.open = true;
}

function show_example(form, chosen) {
  const is_text = "text" in chosen.dataset;
  form.querySelector("[data-of=text]").hidden = !is_text;
  form.querySelector("[data-place=text]").value = is_text ? chosen.dataset.text : "";
}

function fields(form, place) {
  return [...form.querySelectorAll(`[data-place=${place}]`)].filter((field) => field.value !== "");
}

function address(form) {
  let path = form.dataset.path;
  for (const field of fields(form, "path")) path = path.replace(`{${field.name}}`, encodeURIComponent(field.value.trim()));
  const query = new URLSearchParams(fields(form, "query").map((field) => [field.name, field.value]));
  return path + (query.size ? `?${query}` : "");
}

function headers(form) {
  const found = new Headers(fields(form, "header").map((field) => [field.name, field.value]));
  const key = document.getElementById("key").value.trim();
  if (form.dataset.key && key) found.set("Authorization", `Bearer ${key}`);
  for (const field of fields(form, "accept")) found.set("Accept", field.value);
  const example = form.querySelector("[data-place=example]");
  if (example) found.set("Content-Type", example.selectedOptions[0].dataset.media);
  return found;
}

function body(form) {
  const file = form.querySelector("[data-place=file]");
  if (file && file.files.length) return file.files[0];
  const text = form.querySelector("[data-place=text]");
  return text ? text.value : undefined;
}

async function send(form) {
  const button = form.querySelector("button");
  const outcome = form.querySelector("output");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  outcome.textContent = "Sent; waiting for the reply.";
  const began = performance.now();
  try {
    const reply = await fetch(address(form), { method: form.dataset.method, headers: headers(form), body: body(form), credentials: "omit" });
    const blob = await reply.blob();
    const took = Math.round(performance.now() - began);
    outcome.textContent = `${reply.status} ${reply.statusText}, ${blob.size.toLocaleString("en")} bytes, ${took} ms`;
    await show(form, reply, blob);
  } catch (error) {
    // No reply at all: the service does not run, or a header holds characters that cannot be sent.
    outcome.textContent = `No reply came: ${error.message}`;
    form.querySelector("pre").hidden = true;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

async function show(form, reply, blob) {
  const kind = (reply.headers.get("Content-Type") || "").split(";")[0];
  const told = [...reply.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const shown = form.querySelector("pre");
  shown.hidden = false;
  shown.firstElementChild.textContent = `${told}\n\n${await text_of(kind, blob)}`;
  const save = form.querySelector("a.save");
  if (save.href) URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(blob);
  save.download = `reply.${kind.split(/[.+/-]/).pop()}`;
  save.hidden = false;
}

async function text_of(kind, blob) {
  if (!/json|^text\//.test(kind)) return `(${kind}, ${blob.size.toLocaleString("en")} bytes: save it to look into it)`;
  let text = await blob.text();
  if (kind.endsWith("json") && kind !== "application/x-ndjson") text = JSON.stringify(JSON.parse(text), null, 2);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n(shortened here; save it to see the rest)` : text;
}
