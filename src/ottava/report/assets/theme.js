const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);

$("theme").addEventListener("click", () => {
  const dark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  document.dispatchEvent(new Event("themechange"));
});
