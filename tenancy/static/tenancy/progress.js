// An organization that is being made: look every two seconds how far it is. When there is
// nothing more to look at, the page is loaded anew and shows the organization.
(function () {
  "use strict";

  const INTERVAL = 2000;

  function watch(panel) {
    let shown = null;

    async function look() {
      let response;
      try {
        response = await fetch(panel.dataset.progress, { redirect: "error" });
      } catch {
        return later(); // the server is being restarted, perhaps
      }
      if (response.status !== 200) return location.reload();
      const html = await response.text();
      if (html !== shown) {
        if (shown !== null) panel.innerHTML = html;
        shown = html;
      }
      return later();
    }

    function later() {
      setTimeout(look, INTERVAL);
    }

    look();
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll("[data-progress]").forEach(watch);
  });
})();
