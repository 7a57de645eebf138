// The strip viewer: one sequence at a time out of those in #strips-data. All text is set as text, never as markup.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("strips-data").textContent);
  if (data.strips.length === 0) return;

  const controls = { by: byId("viewer-by"), book: byId("viewer-book"), order: byId("viewer-order"), text: byId("viewer-text") };
  const card = byId("viewer-card"), place = byId("viewer-place"), link = byId("viewer-link"), help = byId("viewer-help");
  const previous = byId("viewer-previous"), next = byId("viewer-next"), reveal = byId("viewer-reveal");
  let found = data.strips, at = 0, isOpen = false;
  let haystacks = null;  // made at the first search, so that the page opens sooner

  // --- What is shown ---------------------------------------------------------------------------------------------

  function words(strip) {
    const panels = [...strip.context, strip.target];
    const texts = [strip.id, ...panels.map((panel) => panel.text), ...strip.answers.map((answer) => answer.text)];
    return [...texts, ...Object.values(strip.labels)].join("\n").toLowerCase();
  }

  /** The condition that is asked for, by its number; null for all. */
  function condition() {
    return controls.by.value === "" ? null : Number(controls.by.value);
  }

  function score(strip) {
    return condition() === null ? strip.rank : strip.scores[condition()];
  }

  /** How far apart the conditions are. With one asked for: how far it is from the rest, on average. */
  function disagreement(strip) {
    const known = strip.scores.filter((value) => value !== null);
    if (known.length < 2) return null;
    if (condition() === null) return Math.max(...known) - Math.min(...known);
    const own = strip.scores[condition()];
    const sum = known.reduce((total, value) => total + value, 0);
    return own === null ? null : Math.abs(own - (sum - own) / (known.length - 1));
  }

  const ORDERS = {
    chosen: null,
    best: (strip) => negative(score(strip)),
    worst: (strip) => score(strip),
    apart: (strip) => negative(disagreement(strip)),
  };

  function negative(value) {
    return value === null ? null : -value;
  }

  /** Strips that the filters let through, in the order asked for; those without a score come last. */
  function filter() {
    const wanted = controls.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (wanted.length > 0) haystacks ??= data.strips.map(words);
    const rank = ORDERS[controls.order.value];
    found = data.strips.filter((strip, i) =>
      (controls.book.value === "" || String(strip.book) === controls.book.value) &&
      (condition() === null || strip.answers.some((answer) => answer.by.includes(condition()))) &&
      wanted.every((word) => haystacks[i].includes(word)));
    if (rank) {
      const key = (strip) => rank(strip) ?? Infinity;
      found = [...found].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
    }
  }

  // --- Drawing ---------------------------------------------------------------------------------------------------

  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function figure(panel, name) {
    const caption = make("figcaption", {}, panel.text || "(no lettering)");
    if (!panel.picture) return make("figure", {}, make("div", { class: "gap", title: panel.detail }, panel.gap), caption);
    const own = data.pictures[panel.picture];
    const src = own ? `data:image/webp;base64,${own}` : byId(panel.picture).getAttribute("href");
    const size = { width: panel.width, height: panel.height };
    return make("figure", {}, make("img", { class: "panel-picture", src, alt: `${name}: panel ${panel.id}`, ...size }), caption);
  }

  function text(title, body, remarks = [], kind = "") {
    const notes = remarks.map((remark) => make("p", { class: "beside" }, remark));
    return make("section", { class: `text ${kind}` }, make("h5", {}, title), make("p", {}, body || "(nothing)"), ...notes);
  }

  function sixth(strip) {
    if (isOpen) return figure(strip.target, "panel 6");
    return make("div", { class: "gap unknown", role: "img", "aria-label": "panel 6, not shown" }, "?");
  }

  function shown(value) {
    return value === null ? "unknown" : value.toFixed(3);
  }

  function answer(strip, given) {
    const remarks = [];
    const own = strip.scores[given.by[0]];
    if (own !== null) remarks.push(`${strip.ranking}: ${shown(own)}`);
    if (given.cut) remarks.push("cut at the token limit");
    const section = text(given.by.map((i) => data.titles[i]).join(", "), given.text, remarks);
    if (given.drawn) section.append(make("div", { class: "pair" }, figure(given.drawn, "drawn panel 6"), sixth(strip)));
    return section;
  }

  function facts(strip) {
    if (strip.facts.length === 0) return [];
    const named = (i) => {
      const givers = strip.answers.filter((given) => given.recalled.includes(i));
      if (givers.length === strip.answers.length) return "all";
      return givers.flatMap((given) => given.by.map((j) => data.titles[j])).join(", ") || "none";
    };
    const head = make("tr", {}, ...["fact", "value", "seen in", "named by"].map((name) => make("th", { scope: "col" }, name)));
    const rows = strip.facts.map(([fact, value, seen], i) =>
      make("tr", {}, make("th", { scope: "row" }, fact), ...[value, seen, named(i)].map((cell) => make("td", {}, cell))));
    return [make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))];
  }

  function draw() {
    const strip = found[at];
    const isShown = strip !== undefined;
    place.textContent = isShown ? `${at + 1} of ${found.length}` : "no strip fits";
    previous.disabled = !isShown || at === 0;
    next.disabled = !isShown || at === found.length - 1;
    reveal.disabled = !isShown;
    reveal.setAttribute("aria-expanded", String(isOpen));
    reveal.textContent = isOpen ? "Hide panel 6" : "Show panel 6";
    link.hidden = !isShown;
    if (!isShown) {
      card.replaceChildren(make("p", { class: "absent" }, "No strip fits these filters."));
      return;
    }
    link.href = address(strip);
    card.dataset.sequence = strip.id;
    const title = make("header", {}, make("h4", {}, `Book ${strip.book}, panel ${strip.id}`));
    if (score(strip) !== null) {
      const whose = condition() === null ? "mean of the runs" : data.titles[condition()];
      title.append(make("span", { class: "beside" }, `${strip.ranking}, ${whose}: ${shown(score(strip))}`));
    }
    const panels = strip.context.map((panel, i) => make("li", {}, figure(panel, `panel ${i + 1}`)));
    panels.push(make("li", { class: "sixth" }, sixth(strip)));
    const asked = strip.answers.filter((given) => condition() === null || given.by.includes(condition()));
    const texts = asked.map((given) => answer(strip, given));
    if ("pred" in strip.labels) texts.push(text("pred label: what the labeller expected", strip.labels.pred, [], "label"));
    const parts = [title, make("ol", { class: "panels" }, ...panels), make("div", { class: "texts" }, ...texts)];
    if (isOpen) {
      const seen = [text("lettering of panel 6", strip.target.text || "(no lettering)", [], "label")];
      if ("descp" in strip.labels) seen.unshift(text("descp label: what the labeller saw", strip.labels.descp, [], "label"));
      parts.push(make("div", { class: "revealed" }, make("div", { class: "texts" }, ...seen), ...facts(strip)));
    }
    card.replaceChildren(...parts);
  }

  // --- The place in the address ----------------------------------------------------------------------------------

  function address(strip) {
    return `#s=${encodeURIComponent(strip.id).replaceAll("%2F", "/")}`;
  }

  /** Keep the place, so that it can be cited. A page inside another (MLflow's) may not be allowed to. */
  function keepPlace() {
    if (found[at] === undefined || window.origin === "null" && location.protocol !== "file:") return;
    history.replaceState(null, "", location.href.replace(/#.*$/s, "") + address(found[at]));
  }

  function goToAddress() {
    if (!location.hash.startsWith("#s=")) return;
    const strip = data.strips.find((each) => address(each) === location.hash || `#s=${each.id}` === location.hash);
    if (strip === undefined) {
      place.textContent = `this report does not show ${location.hash.slice(3)}`;
      return;
    }
    if (!found.includes(strip)) {
      for (const control of Object.values(controls)) control.value = control.id === "viewer-order" ? "chosen" : "";
      filter();
    }
    if (found[at] !== strip) {
      at = found.indexOf(strip);
      isOpen = false;
    }
    draw();
    byId("viewer").scrollIntoView({ block: "start", behavior: "instant" });
  }

  // --- What people do --------------------------------------------------------------------------------------------

  function move(by) {
    const to = at + by;
    if (to < 0 || to >= found.length) return;
    at = to;
    isOpen = false;
    draw();
    keepPlace();
  }

  function toggle() {
    if (found[at] === undefined) return;
    isOpen = !isOpen;
    draw();
  }

  function refilter() {
    filter();
    at = 0;
    isOpen = false;
    draw();
  }

  function clearSearch() {
    controls.text.value = "";
    refilter();
    controls.text.blur();
  }

  const KEYS = {
    j: () => move(1), ArrowRight: () => move(1), k: () => move(-1), ArrowLeft: () => move(-1),
    r: toggle, "/": () => controls.text.focus(), "?": () => help.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    if (event.target === controls.text && event.key === "Escape") return clearSearch();
    if (event.target.closest("input, select, textarea, .wide, .plot")) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
    if (event.key !== "?") byId("viewer").scrollIntoView({ block: "nearest" });
  });

  function option(value, name) {
    return make("option", { value }, name);
  }

  function fill() {
    const books = [...new Set(data.strips.map((strip) => strip.book))].sort((a, b) => a - b);
    controls.book.append(...books.map((book) => option(book, `book ${book}`)));
    controls.by.append(...data.titles.map((title, i) => option(i, title)));
    const isRanked = data.strips.some((strip) => strip.rank !== null);
    for (const each of controls.order.options) each.disabled = !isRanked && each.value !== "chosen";
  }

  for (const control of Object.values(controls)) control.addEventListener("input", refilter);
  previous.addEventListener("click", () => move(-1));
  next.addEventListener("click", () => move(1));
  reveal.addEventListener("click", toggle);
  byId("viewer-keys").addEventListener("click", () => help.showModal());
  window.addEventListener("hashchange", goToAddress);

  fill();
  for (const element of document.querySelectorAll(".plain-strips")) element.hidden = true;
  byId("viewer").hidden = false;
  draw();
  goToAddress();
})();
