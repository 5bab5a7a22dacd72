/*
 * What the pages do beyond HTML: theme, keys, lists, copying, small menus.
 *
 * Every page works without this file. It is loaded before the body, so that a
 * chosen theme holds before anything is painted; all else listens on the
 * document and therefore also serves what htmx brings later.
 */
(() => {
  "use strict";

  const root = document.documentElement;
  root.dataset.script = "on";
  // Browsers give the clipboard to secure pages only.
  if (navigator.clipboard) root.dataset.clipboard = "on";

  /* What this browser remembers: how the page looks and behaves, never whom it showed. */
  const memory = {
    read(name) {
      try {
        return localStorage.getItem(`clinicx.${name}`);
      } catch {
        return null; // storage can be forbidden; the default is then right
      }
    },
    write(name, value) {
      try {
        localStorage.setItem(`clinicx.${name}`, value);
      } catch {
        // the choice holds for this page, which is all that is possible
      }
    },
  };

  /* Theme */
  const THEMES = ["light", "dark"];

  function applyTheme(theme) {
    if (THEMES.includes(theme)) root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  function showTheme() {
    const chosen = root.dataset.theme ?? "system";
    for (const button of document.querySelectorAll("[data-sets-theme]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setsTheme === chosen));
    }
  }

  applyTheme(memory.read("theme"));
  window.addEventListener("storage", (event) => {
    if (event.key !== "clinicx.theme") return;
    applyTheme(event.newValue);
    showTheme();
  });

  /* Presses */
  const PRESSES = {
    async copy(button) {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.dataset.done = "";
      announce(`${button.dataset.copy} copied`);
      setTimeout(() => delete button.dataset.done, 2000);
    },
    fill(button) {
      const form = document.getElementById(button.dataset.fill);
      for (const [name, value] of Object.entries(JSON.parse(button.dataset.values))) {
        form.elements[name].value = value;
      }
      form.querySelector("[type=submit]").focus();
    },
    focuses(button) {
      focusOn(document.getElementById(button.dataset.focuses));
    },
    opens(button) {
      open(document.getElementById(button.dataset.opens));
    },
    prints() {
      window.print();
    },
    reveal(button) {
      const field = document.getElementById(button.dataset.reveal);
      const shown = field.type === "password";
      field.type = shown ? "text" : "password";
      button.textContent = shown ? "Hide" : "Show";
      button.setAttribute("aria-pressed", String(shown));
    },
    setsTheme(button) {
      applyTheme(button.dataset.setsTheme);
      memory.write("theme", button.dataset.setsTheme);
      showTheme();
    },
  };

  document.addEventListener("click", (event) => {
    closeMenus(event.target);
    const button = event.target.closest("button");
    if (!button) return;
    for (const [name, act] of Object.entries(PRESSES)) {
      if (name in button.dataset) act(button);
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-single-keys]")) {
      memory.write("keys", event.target.checked ? "on" : "off");
    }
  });

  function announce(text) {
    let status = document.getElementById("announcement");
    if (!status) {
      status = document.createElement("p");
      status.id = "announcement";
      status.className = "visually-hidden";
      status.setAttribute("role", "status");
      document.body.append(status);
    }
    status.textContent = text;
  }

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("[data-menu][open]")) {
      if (!menu.contains(except)) menu.open = false;
    }
  }

  function open(dialog) {
    closeMenus();
    if (!dialog.open) dialog.showModal();
  }

  function focusOn(element) {
    if (!element) return;
    element.focus();
    element.select?.();
  }

  /* Keys */
  const isTyping = (element) =>
    element.isContentEditable || element.matches("input:not([type=checkbox]), textarea, select");

  let waitingFor = "";

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Escape") return leave(event);
    if (moveInList(event)) return event.preventDefault();
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return undefined;
    if (memory.read("keys") !== "off" && pressSingle(event.key)) event.preventDefault();
    return undefined;
  });

  /* Return whether the key, alone or after the one before it, meant something. */
  function pressSingle(key) {
    const pressed = waitingFor ? `${waitingFor} ${key}` : key;
    waitingFor = "";
    if (pressed === "/") {
      focusOn(document.getElementById("search"));
      return true;
    }
    if (pressed === "?") {
      open(document.getElementById("keys"));
      return true;
    }
    const target = document.querySelector(`[data-keys="${CSS.escape(pressed)}"]`);
    if (target) {
      target.click();
      return true;
    }
    if (document.querySelector(`[data-keys^="${CSS.escape(pressed)} "]`)) {
      waitingFor = pressed;
      setTimeout(() => (waitingFor = ""), 1500);
      return true;
    }
    return false;
  }

  function leave(event) {
    const menu = document.querySelector("[data-menu][open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    } else if (event.target.id === "search" && !event.target.value) {
      event.target.blur();
    }
  }

  /* Lists: from the search box down into it, and up again. Tab goes through as ever. */
  function moveInList(event) {
    const items = [...document.querySelectorAll("[data-list] [data-item]")];
    if (!items.length) return false;
    const here = items.indexOf(event.target);
    const inSearch = event.target.id === "search";
    if (here < 0 && !(inSearch && event.key === "ArrowDown")) return false;
    const next = {
      ArrowDown: here + 1,
      ArrowUp: here - 1,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (next === undefined) return false;
    if (next < 0) focusOn(document.getElementById("search"));
    else items[Math.min(next, items.length - 1)].focus();
    return true;
  }

  /* While htmx waits, the part that will change says so. */
  document.addEventListener("htmx:beforeRequest", (event) => {
    event.detail.target.setAttribute("aria-busy", "true");
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    event.detail.target.removeAttribute("aria-busy");
    if (event.detail.failed) announce("That did not work. Reload the page and try again.");
  });
  // A session that has ended is sent to the sign-in page: go there, do not paste it in.
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { requestConfig, xhr } = event.detail;
    const isWhatWasAsked =
      new URL(xhr.responseURL).pathname === new URL(requestConfig.path, location).pathname;
    if (isWhatWasAsked && xhr.status !== 403) return;
    event.detail.shouldSwap = false;
    location.reload();
  });

  document.addEventListener("DOMContentLoaded", () => {
    showTheme();
    for (const box of document.querySelectorAll("[data-single-keys]")) {
      box.checked = memory.read("keys") !== "off";
    }
  });
})();
