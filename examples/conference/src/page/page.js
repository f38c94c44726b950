"use strict";
// A line at the same time in all timelines, and what was then.
const people = [...document.querySelectorAll(".person")].map((card) => ({
  output: card.querySelector("output"),
  facts: JSON.parse(card.dataset.facts),
}));
const lastBefore = (list, time) => list.filter((entry) => entry[0] <= time).pop();
function tell({ output, facts }, time) {
  const sample = lastBefore(facts.samples, time);
  const parts = [`${time.toFixed(1)} s`];
  for (const { name, runs, why } of facts.windows) {
    const run = runs.find(([from, to]) => from <= time && time <= to);
    const reason = lastBefore(why, time);
    if (run) parts.push(`${name} ${run[2]}${reason ? `: ${reason[1]}` : ""}`);
  }
  if (sample && time - sample[0] < 0.2) parts.push(`${sample[1]} of ${sample[2]} kbit/s, estimate ${sample[3]}`);
  output.textContent = parts.join(" · ");
}
document.addEventListener("click", ({ target }) => {
  if (target.matches(".pictures img")) target.closest("figure").classList.toggle("large");
});
document.addEventListener("pointermove", ({ target, clientX }) => {
  const track = target.closest && target.closest(".track");
  document.body.classList.toggle("pointed", Boolean(track));
  if (!track) return;
  const { left, width } = track.getBoundingClientRect();
  const share = Math.min(1, Math.max(0, (clientX - left) / width));
  document.documentElement.style.setProperty("--cursor", `${share * 100}%`);
  for (const person of people) tell(person, share * person.facts.end);
});
