// Tables sort and filter; without this script they are plain tables.
document.querySelectorAll("table.sortable").forEach((table) => {
  const label = table.getAttribute("aria-label");
  new DataTable(table, {
    paging: false,
    info: false,
    order: [],
    autoWidth: false,
    layout: { topStart: "search", topEnd: null, bottomStart: null, bottomEnd: null },
    language: { search: "Filter", zeroRecords: "No row has this." },
  });
  // What is wider than the page scrolls in its box, by keyboard too.
  const box = table.closest(".dt-layout-table") || table.parentElement;
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", `${label}, scrolls sideways`);
});
// A link opens what it leads to; on paper all is open.
const open = (one) => { if (one) one.open = true; };
const reveal = () => open(document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest("details"));
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details.more, .alarm details").forEach(open));
reveal();
