// Comforts: choices that need no button, a filter while typing, copying, and the stream of decisions.
// Every page says everything without this.
"use strict";

for (const choice of document.querySelectorAll("[data-submit]")) {
  choice.addEventListener("change", () => {
    // A required field is required of an answer, not of another choice.
    choice.form.noValidate = true;
    choice.form.requestSubmit();
  });
}

for (const search of document.querySelectorAll("[data-filter=rows]")) {
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const row of document.querySelectorAll("main tbody tr:not(.scope)")) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
    }
  });
}

for (const text of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
  });
  const around = document.createElement("div");
  around.className = "copyable";
  text.before(around);
  around.append(text, button);
}

const tail = document.getElementById("tail");
if (tail) {
  const body = document.getElementById("decisions");
  const pause = document.getElementById("pause");
  const say = (words) => { tail.textContent = words; };
  let paused = false;
  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    say(paused ? "Paused." : "New decisions appear by themselves.");
  });
  const cell = (row, text, name, inner) => {
    const cell = row.insertCell();
    if (name) cell.className = name;
    const place = inner ? cell.appendChild(document.createElement(inner)) : cell;
    place.textContent = text;
    return place;
  };
  const show = (one) => {
    const row = body.insertRow(0);
    row.title = one.decision_id;
    cell(row, one.time.slice(11, 23), "", "time");
    cell(row, one.decision, "", "b").className = one.decision;
    cell(row, one.principal);
    cell(row, one.action, "", "code");
    cell(row, one.resource);
    cell(row, one.policies.join(", "));
    cell(row, one.store);
    cell(row, one.latency_us, "num");
    while (body.rows.length > 200) body.deleteRow(-1);
  };
  const stream = new EventSource(tail.dataset.stream);
  stream.addEventListener("open", () => say("New decisions appear by themselves."));
  stream.addEventListener("error", () => say("The stream broke off. It is tried again."));
  stream.addEventListener("decisions", (event) => {
    if (paused) return;
    const { decisions, missed } = JSON.parse(event.data);
    document.getElementById("none")?.remove();
    decisions.forEach(show);
    if (missed) say(`${missed} more decisions are not shown.`);
  });
}
