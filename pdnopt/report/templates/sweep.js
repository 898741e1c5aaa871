(function () {
  var table = document.querySelector("table.list");
  if (!table) return;
  var body = table.tBodies[0], find = document.getElementById("find");
  document.querySelector(".tools").hidden = false;
  function value(row, k) {
    var cell = row.cells[k], v = cell.getAttribute("data-v");
    return v === null ? cell.textContent.toLowerCase() : parseFloat(v);
  }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, k) {
    head.tabIndex = 0;
    head.setAttribute("role", "button");
    function sort() {
      var down = head.getAttribute("aria-sort") !== "descending";
      Array.prototype.forEach.call(table.tHead.rows[0].cells, function (h) { h.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var rows = Array.prototype.slice.call(body.rows);
      rows.sort(function (a, b) {
        var x = value(a, k), y = value(b, k), c = x < y ? -1 : x > y ? 1 : 0;
        return down ? -c : c;
      });
      rows.forEach(function (row) { body.appendChild(row); });
    }
    head.addEventListener("click", sort);
    head.addEventListener("keydown", function (e) { if (e.key === "Enter") sort(); });
  });
  find.addEventListener("input", function () {
    var words = find.value.toLowerCase();
    table.classList.toggle("found", words !== "");
    Array.prototype.forEach.call(body.rows, function (row) {
      row.classList.toggle("hit", words !== "" && row.textContent.toLowerCase().indexOf(words) >= 0);
    });
  });
})();
