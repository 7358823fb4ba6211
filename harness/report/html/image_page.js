// SPDX-License-Identifier: MIT
// The script of a page of `ckptest image html`: search by address, and keys. It sets text, never markup.

const PAGE = 4096n;
const images = JSON.parse(document.getElementById("data").textContent);
const input = document.getElementById("address");
const answer = document.getElementById("answer");
const rows = [...document.querySelectorAll("details.map")];
let current = -1;

/** What an image has at an address: its mapping and page in words. */
function look({ name, tasks }, address) {
  const found = [];
  for (const [task, mappings] of tasks.entries()) {
    const mapping = mappings.find(([start, end]) => BigInt(start) <= address && address < BigInt(end));
    if (!mapping) continue;
    const [start, , label, runs, isWhole] = mapping;
    const page = address - address % PAGE;
    const run = runs.find(([first, count]) =>
      BigInt(first) <= page && page < BigInt(first) + BigInt(count) * PAGE
    );
    const where = `page ${(page - BigInt(start)) / PAGE} of ${label}`;
    const rest = isWhole ? "not in the image" : "not in what this page holds of the image";
    const offset = run && BigInt(run[2]) + (address - BigInt(run[0]));
    found.push({
      id: `t${task}-${BigInt(start).toString(16)}`,
      text: `${name}: ${where}: ${run ? `${run[3] ? "zeros" : "data"}, byte ${offset} of the file` : rest}`,
    });
  }
  return found.length > 0 ? found : [{ text: `${name}: in no mapping` }];
}

function show(row) {
  rows.forEach((one) => one.classList.toggle("found", one === row));
  if (!row) return;
  current = rows.indexOf(row);
  row.scrollIntoView({ block: "center" });
  row.querySelector("summary").focus({ preventScroll: true });
}

function search() {
  const [, digits] = /^\s*(?:0x)?([\da-f]{1,16})\s*$/i.exec(input.value) ?? [];
  if (digits === undefined) {
    answer.textContent = "An address is hexadecimal, such as 7ffff7ffe000.";
    return;
  }
  const found = images.flatMap((image) => look(image, BigInt(`0x${digits}`)));
  answer.textContent = found.map(({ text }) => text).join("\n");
  const row = found.map(({ id }) => id && document.getElementById(id)).find((element) => element);
  if (row) row.open = true;
  show(row);
}

/** The next row in a direction that is wanted. */
function step(by, isWanted) {
  for (let at = current + by; at >= 0 && at < rows.length; at += by) {
    if (isWanted(rows[at])) return show(rows[at]);
  }
}

document.getElementById("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
document.addEventListener("keydown", (event) => {
  if (event.target === input) {
    if (event.key === "Escape") input.blur();
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const isMarked = (row) => row.classList.contains("marked");
  const actions = {
    "/": () => (input.focus(), input.select()),
    j: () => step(1, () => true),
    k: () => step(-1, () => true),
    n: () => step(1, isMarked),
    p: () => step(-1, isMarked),
  };
  const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
  if (!action) return;
  event.preventDefault();
  action();
});
