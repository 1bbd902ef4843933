const graph = document.querySelector(".graph");
const paths = graph ? [...graph.querySelectorAll(".links path")] : [];
const units = graph ? [...graph.querySelectorAll("circle")] : [];

/** Show the links of one unit alone, and the units at their other ends; of none, all. */
function show(unit) {
  const near = new Set([unit]);
  for (const [i, [one, other]] of data.links.entries()) {
    const own = one === unit || other === unit;
    paths[i].classList.toggle("away", unit !== null && !own);
    if (own) near.add(one).add(other);
  }
  for (const circle of units) circle.classList.toggle("away", unit !== null && !near.has(+circle.dataset.unit));
}

for (const circle of units) {
  for (const event of ["pointerenter", "focus"]) circle.addEventListener(event, () => show(+circle.dataset.unit));
  for (const event of ["pointerleave", "blur"]) circle.addEventListener(event, () => show(null));
}
