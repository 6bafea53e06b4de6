"use strict";
// Comfort alone: every page does without. Nothing leaves this service.

const zone = document.querySelector("[data-zone]");
if (zone) {
  const form = zone.closest("form");
  const input = zone.querySelector("input[type=file]");
  const words = zone.querySelector(".drop-words");
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) zone.addEventListener(name, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      words.textContent = event.dataTransfer.files[0].name;
      form.requestSubmit();
    }
  });
  input.addEventListener("change", () => { if (input.files.length) words.textContent = input.files[0].name; });
}

const waiting = document.querySelector("[data-poll]");
if (waiting) {
  const bar = waiting.querySelector("progress");
  const told = waiting.querySelector("[data-words]");
  const ended = ["done", "failed", "expired"];
  const look = async () => {
    try {
      const reply = await fetch(waiting.dataset.poll, { headers: { Accept: "application/json" } });
      if (reply.ok) {
        const found = await reply.json();
        if (ended.includes(found.state)) { location.reload(); return; }
        if (found.total) {
          bar.max = found.total;
          bar.value = found.done;
          told.textContent = waiting.dataset.of.replace("{done}", found.done.toLocaleString("en")).replace("{total}", found.total.toLocaleString("en"));
        }
      } else if (reply.status === 401) { location.reload(); return; }
    } catch { /* The service restarts: look again. */ }
    setTimeout(look, 200);
  };
  setTimeout(look, 100);
}

const budget = document.querySelector("[data-budget]");
if (budget) {
  const points = JSON.parse(budget.dataset.points);
  const cost = Number(budget.dataset.cost);
  const slider = budget.querySelector("[data-slider]");
  const contacts = budget.querySelector("[data-contacts]");
  const all = points[points.length - 1][0];
  const amount = (value) => value.toLocaleString("en", Math.abs(value) >= 1000 ? { maximumFractionDigits: 0 } : { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace("-", "−") + " " + budget.dataset.currency;
  const put = (name, text) => { budget.querySelector(`[data-${name}]`).textContent = text; };

  // Exact at a stop, in between on the line from one to the next.
  const at = (wanted) => {
    let low = 0, high = points.length - 1;
    while (high - low > 1) { const middle = (low + high) >> 1; if (points[middle][0] <= wanted) low = middle; else high = middle; }
    if (points[high][0] <= wanted) return { near: high, values: points[high], exact: true };
    const [a, b] = [points[low], points[high]];
    const part = (wanted - a[0]) / (b[0] - a[0]);
    return { near: part < 0.5 ? low : high, values: a.map((value, n) => value + part * (b[n] - value)), exact: part === 0 };
  };
  const show = (wanted) => {
    const found = at(Math.min(Math.max(wanted, 0), all));
    const about = found.exact ? "" : "≈ ";
    put("profit", about + amount(found.values[2]));
    put("spent", amount(found.values[0] * cost));
    put("conversions", about + found.values[1].toLocaleString("en", { maximumFractionDigits: found.values[1] < 100 ? 1 : 0 }));
    budget.querySelector("[data-here]").setAttribute("d", `M${(1000 * found.values[0]) / all} 0V1000`);
    slider.value = found.near;
    slider.setAttribute("aria-valuetext", `${Math.round(found.values[0]).toLocaleString("en")} contacts, ${about}${amount(found.values[2])}`);
  };
  slider.disabled = false;
  slider.addEventListener("input", () => { contacts.value = points[Number(slider.value)][0]; show(Number(contacts.value)); slider.value = slider.value; });
  contacts.addEventListener("input", () => show(Number(contacts.value) || 0));
  for (const button of budget.querySelectorAll("[data-go]")) {
    button.disabled = false;
    button.addEventListener("click", () => { contacts.value = button.dataset.go; show(Number(button.dataset.go)); });
  }
  show(Number(contacts.value));
}
