"use strict";
// The gallery: filters, search, cards and the full record. Texts only ever become text nodes.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const PHOTOS_AT_ONCE = 24;
  const CAPTIONS_FIRST = 4;
  const CUT = 600;

  // ---- the captions' columns ------------------------------------------------------------------

  const value = (name, row) => {
    const column = data.columns[name];
    if (column === undefined) return null;
    if ("list" in column) return column.list[row];
    return "at" in column ? column.dict[column.at[row]] : column.all;
  };
  const NAMES = Object.keys(data.columns);
  const rows = Array.from({ length: data.captions }, (_, row) => row);
  const byPhoto = data.photos.map(() => []);
  for (const row of rows) byPhoto[value("@image", row)].push(row);
  const rowOf = new Map(rows.map((row) => [value("caption_id", row), row]));

  const nameOf = (photo) => {
    const path = String(photo.path ?? "");
    return path.slice(Math.max(path.lastIndexOf("/"), path.lastIndexOf("::") + 1) + 1) || path;
  };
  const verdictOf = (row) => {
    if (value("superseded", row)) return "superseded";
    const kept = value("kept", row);
    return kept === null ? "none" : kept ? "kept" : "dropped";
  };
  const verdictWords = (row) => {
    const verdict = verdictOf(row);
    if (verdict === "kept") return "kept";
    if (verdict === "superseded") return "superseded by newer captions";
    if (verdict === "none") return "";
    const reached = value("dropped_value", row);
    const limit = value("dropped_threshold", row);
    return `dropped by ${value("dropped_by", row)}` + (reached ? `: ${reached}` : "") + (limit ? ` (limit ${limit})` : "");
  };
  const levelOf = (row) => value("rated_level", row) ?? "";
  const haystacks = new Map();
  const haystack = (row) => {
    if (!haystacks.has(row)) {
      const photo = data.photos[value("@image", row)];
      const words = [value("text", row), nameOf(photo), value("dropped_by", row), value("caption_id", row)];
      haystacks.set(row, words.join("\n").toLowerCase());
    }
    return haystacks.get(row);
  };

  // ---- making elements ------------------------------------------------------------------------

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, one] of Object.entries(attributes)) {
      if (name === "on") for (const [event, act] of Object.entries(one)) element.addEventListener(event, act);
      else if (one !== null && one !== undefined && one !== false) element.setAttribute(name, one === true ? "" : one);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;
  const spelled = (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "␡" : "U+" + code.toString(16).toUpperCase().padStart(4, "0");
  };
  const marked = (text, words) => {
    const lower = text.toLowerCase();
    if (!words.length || lower.length !== text.length) return [text];
    const parts = [];
    let from = 0;
    while (from < text.length) {
      let next = -1;
      let length = 0;
      for (const word of words) {
        const found = lower.indexOf(word, from);
        if (found >= 0 && (next < 0 || found < next)) [next, length] = [found, word.length];
      }
      if (next < 0) break;
      parts.push(text.slice(from, next), make("mark", {}, text.slice(next, next + length)));
      from = next + length;
    }
    parts.push(text.slice(from));
    return parts;
  };
  // A text as it is, in its own direction; control characters are spelled out, words found marked.
  const literal = (text, words = []) => {
    const whole = make("bdi");
    const said = String(text);
    let last = 0;
    for (const found of said.matchAll(CONTROL)) {
      whole.append(...marked(said.slice(last, found.index), words), make("span", { class: "control" }, spelled(found[0])));
      last = found.index + 1;
    }
    whole.append(...marked(said.slice(last), words));
    return whole;
  };
  const number = (one) => one.toLocaleString("en-US");
  const shown = (one) => {
    if (one === null || one === undefined || one === "") return make("span", { class: "muted" }, "–");
    return literal(typeof one === "object" ? JSON.stringify(one) : one);
  };
  const picture = (photo) =>
    make("div", { class: "frame" }, photo.picture
      ? make("img", { src: photo.picture, alt: "", width: photo.width || null, height: photo.height || null, loading: "lazy", decoding: "async" })
      : make("p", { class: "gone" }, literal("No picture: " + (photo.why || "the photo was not read"))));

  // ---- light and dark -------------------------------------------------------------------------

  const theme = at("theme");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const showTheme = () => {
    theme.textContent = isDark() ? "Light" : "Dark";
    theme.setAttribute("aria-pressed", String(isDark()));
    theme.setAttribute("aria-label", "Dark mode");
  };
  try {
    const before = localStorage.getItem("uniqa-theme");
    if (before === "dark" || before === "light") root.dataset.theme = before;
  } catch { /* a file may have no storage */ }
  theme.hidden = false;
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("uniqa-theme", root.dataset.theme); } catch { /* likewise */ }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  showTheme();

  if (!data.photos.length) return;

  // ---- filters --------------------------------------------------------------------------------

  const controls = Object.fromEntries(["model", "task", "cue", "verdict", "level", "dataset"].map((name) => [name, at("f-" + name)]));
  const search = at("search");
  const order = at("order");
  const LEVELS = ["bad", "poor", "fair", "good", "perfect"];

  const offer = (select, options) => {
    for (const [key, words] of options) select.append(make("option", { value: key }, words));
  };
  const distinct = (name) => [...new Set(rows.map((row) => value(name, row) ?? ""))].sort();
  const plainly = (text) => String(text).replace(CONTROL, spelled);
  for (const name of ["model", "task", "cue", "dataset"]) {
    offer(controls[name], [["", "all"], ...distinct(name).filter((one) => one !== "").map((one) => ["=" + one, plainly(one)])]);
  }
  controls.dataset.parentElement.hidden = controls.dataset.options.length < 3;
  const rated = new Set(rows.map(levelOf));
  offer(controls.level, [["", "all"], ...LEVELS.filter((one) => rated.has(one)).map((one) => ["=" + one, one]), ...(rated.has("") ? [["=", "unrated"]] : [])]);
  const verdicts = new Set(rows.map(verdictOf));
  offer(controls.verdict, [
    ["", "all"],
    ...(verdicts.has("kept") ? [["kept", "kept"]] : []),
    ...(verdicts.has("dropped") ? [["dropped", "dropped, for any reason"]] : []),
    ...[...new Set(data.rules.map(([rule]) => rule))].map((rule) => ["rule:" + rule, "dropped by " + plainly(rule)]),
    ...(rows.some((row) => value("duplicate_kind", row)) ? [["duplicate", "repeats another"]] : []),
    ...(verdicts.has("superseded") ? [["superseded", "superseded"]] : []),
    ...(verdicts.has("none") ? [["none", "not judged"]] : []),
  ]);

  const passes = {
    model: (row, wanted) => "=" + (value("model", row) ?? "") === wanted,
    task: (row, wanted) => "=" + (value("task", row) ?? "") === wanted,
    cue: (row, wanted) => "=" + (value("cue", row) ?? "") === wanted,
    dataset: (row, wanted) => "=" + (value("dataset", row) ?? "") === wanted,
    level: (row, wanted) => "=" + levelOf(row) === wanted,
    verdict: (row, wanted) => {
      if (wanted === "duplicate") return Boolean(value("duplicate_kind", row));
      if (wanted.startsWith("rule:")) return value("kept", row) === false && "rule:" + value("dropped_by", row) === wanted;
      return verdictOf(row) === wanted;
    },
  };
  const orders = {
    best: (one, other) => (other.photo.score ?? -1) - (one.photo.score ?? -1),
    worst: (one, other) => (one.photo.score ?? 2) - (other.photo.score ?? 2),
    dropped: (one, other) => other.dropped - one.dropped,
    name: (one, other) => nameOf(one.photo).localeCompare(nameOf(other.photo)),
  };

  let words = [];
  let groups = [];
  let listed = [];
  let drawn = 0;

  const apply = () => {
    words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = Object.entries(controls).map(([name, select]) => [passes[name], select.value]).filter(([, one]) => one);
    const good = (row) => wanted.every(([test, one]) => test(row, one)) && words.every((word) => haystack(row).includes(word));
    groups = [];
    data.photos.forEach((photo, index) => {
      const mine = byPhoto[index].filter(good);
      if (mine.length) groups.push({ photo, rows: mine, dropped: mine.filter((row) => verdictOf(row) === "dropped").length });
    });
    if (orders[order.value]) groups.sort(orders[order.value]);
    listed = groups.flatMap((group) => group.rows);
    const captions = listed.length === rows.length ? number(rows.length) : `${number(listed.length)} of ${number(rows.length)}`;
    at("count").textContent = listed.length ? `${captions} captions of ${number(groups.length)} ${groups.length === 1 ? "photo" : "photos"}` : "No caption is like that.";
    at("cards").replaceChildren();
    drawn = 0;
    drawMore();
    at("cards").dataset.search = search.value;
  };

  // ---- cards ----------------------------------------------------------------------------------

  const captionButton = (row, attributes = {}) => {
    const text = value("text", row);
    return make("button", { type: "button", class: "caption " + verdictOf(row), "data-row": row, ...attributes, on: { click: () => open(row) } },
      make("span", { class: "said" }, literal(text.length > 320 ? text.slice(0, 320) + " …" : text, words)),
      make("span", { class: "meta" },
        make("span", {}, literal(value("model", row) ?? "")),
        make("span", {}, literal(`${value("task", row)}, ${value("cue", row)}`)),
        verdictWords(row) ? make("span", { class: "verdict" }, literal(verdictWords(row))) : null));
  };
  const rating = (photo) => (photo.rated_level ? `${photo.rated_level} ${Number(photo.score).toFixed(2)}` : "unrated");

  const card = (group) => {
    const { photo } = group;
    const box = make("article", { class: "card" }, picture(photo),
      make("div", { class: "head" }, make("strong", { title: plainly(photo.path ?? "") }, literal(nameOf(photo), words)), make("span", {}, rating(photo))));
    const rest = group.rows.slice(CAPTIONS_FIRST);
    box.append(...group.rows.slice(0, CAPTIONS_FIRST).map((row) => captionButton(row)));
    if (rest.length) {
      const all = make("button", { type: "button", class: "all" }, `${number(rest.length)} more`);
      all.addEventListener("click", () => {
        const buttons = rest.map((row) => captionButton(row));
        all.replaceWith(...buttons);
        buttons[0].focus();
      });
      box.append(all);
    }
    return box;
  };
  const drawMore = () => {
    at("cards").append(...groups.slice(drawn, drawn + PHOTOS_AT_ONCE).map(card));
    drawn = Math.min(groups.length, drawn + PHOTOS_AT_ONCE);
    at("more").hidden = drawn >= groups.length;
  };
  at("more").addEventListener("click", drawMore);
  new IntersectionObserver((seen) => {
    if (seen.some((one) => one.isIntersecting) && drawn < groups.length) drawMore();
  }, { rootMargin: "600px" }).observe(at("more"));

  // ---- the full record ------------------------------------------------------------------------

  const record = at("record");
  let current = -1;

  const wholeText = (row) => {
    const text = value("text", row);
    const length = value("@length", row) ?? text.length;
    const note = length > [...text].length ? `Of ${number(length)} characters, ${number([...text].length)} are in this report.` : null;
    const box = make("div", { class: "whole" });
    if (text.length <= CUT * 1.5) {
      box.append(text ? literal(text, words) : make("span", { class: "muted" }, "(an empty text)"));
      return [box];
    }
    box.append(literal(text.slice(0, CUT), words), " …");
    const all = make("button", { type: "button", id: "whole" }, `Show all ${number(length)} characters`);
    all.addEventListener("click", () => {
      box.replaceChildren(literal(text, words));
      all.replaceWith(...(note ? [make("p", { class: "small" }, note)] : []));
    });
    return [box, make("p", {}, all)];
  };

  const facts = (pairs) => make("dl", {}, ...pairs.filter(([, one]) => one !== null && one !== undefined && one !== "")
    .flatMap(([name, one]) => [make("dt", {}, name), make("dd", {}, shown(one))]));

  const asked = (row) => {
    const prompt = data.prompts[value("@prompt", row) ?? -1];
    if (!prompt) return null;
    const parts = [["system", prompt.system], ["text", prompt.text], ["answer begins", prompt.answer_start]].filter(([, text]) => text);
    return make("details", {}, make("summary", {}, "What it was asked"), ...parts.map(([, text]) => make("p", { class: "asked" }, literal(text))));
  };

  const fields = (row) => make("details", {}, make("summary", {}, "Everything about this caption"),
    make("table", { class: "fields" }, make("tbody", {},
      ...NAMES.filter((name) => name !== "text" && !name.startsWith("@")).map((name) =>
        make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, shown(value(name, row))), make("td", { class: "muted" }, data.meanings[name] ?? ""))))));

  const judged = (row) => {
    const verdict = verdictOf(row);
    const box = make("p", { class: "judged " + verdict });
    if (verdict === "none") box.append("No filter has judged it.");
    else box.append(literal(verdictWords(row).replace(/^./, (one) => one.toUpperCase())), ".");
    const original = value("duplicate_of", row);
    if (original) {
      const near = value("similarity", row);
      const kind = value("duplicate_kind", row) || "near";
      box.append(make("br"), `Its ${kind} original` + (near === null ? "" : ` (similarity ${near.toFixed(2)})`) + ": ");
      const other = rowOf.get(original);
      box.append(other === undefined ? make("code", {}, original)
        : make("a", { href: "#gallery", on: { click: (event) => { event.preventDefault(); open(other); } } }, literal(value("text", other).slice(0, 300))));
    }
    return box;
  };

  const step = (by) => {
    const here = listed.indexOf(current);
    const next = here < 0 ? 0 : here + by;
    if (next >= 0 && next < listed.length) open(listed[next]);
  };

  const open = (row) => {
    current = row;
    const place = value("@image", row);
    const photo = data.photos[place];
    const here = listed.indexOf(row);
    const siblings = byPhoto[place];
    const title = make("h2", { id: "record-title" }, literal(nameOf(photo)));
    const top = make("div", { class: "bar-top" }, title,
      make("span", { class: "small" }, here < 0 ? "" : `${number(here + 1)} of ${number(listed.length)}`),
      make("button", { type: "button", id: "previous", "aria-label": "Previous caption", disabled: here <= 0, on: { click: () => step(-1) } }, "←"),
      make("button", { type: "button", id: "next", "aria-label": "Next caption", disabled: here < 0 || here + 1 >= listed.length, on: { click: () => step(1) } }, "→"),
      make("button", { type: "button", id: "close", on: { click: () => record.close() } }, "Close"));
    const ofPhoto = facts([
      ["Rated", photo.rated_level ? rating(photo) : "no"],
      ["MOS", photo.mos === null || photo.mos === undefined ? null : Number(photo.mos).toFixed(2)],
      ["Dataset", photo.dataset], ["Split", photo.split],
      ["Size", photo.width ? `${photo.width} × ${photo.height}` : null],
      ["Captions", siblings.length < photo.captions ? `${siblings.length} of ${photo.captions}` : photo.captions],
      ["Vendi score", photo.image_vendi], ["File", photo.path], ["Image", photo.id]]);
    ofPhoto.classList.add("of-photo");
    const others = siblings.length > 1
      ? [make("h3", {}, "All captions of this photo"), make("div", { class: "others" }, ...siblings.map((one) => captionButton(one, { "aria-current": String(one === row) })))]
      : [];
    const right = make("div", { class: "right" }, ...wholeText(row), judged(row),
      facts([["Model", value("model", row)], ["Asked about", `${value("task", row)}, ${value("cue", row)}`], ["Level told", value("prompt_level", row)],
        ["Words", value("words", row)], ["Rank", value("rank", row)], ["Id", value("caption_id", row)]]),
      asked(row), fields(row), ...others);
    const body = make("div", { class: "body", tabindex: "-1" }, picture(photo), ofPhoto, right);
    record.replaceChildren(top, body);
    if (!record.open) record.showModal();
    body.focus();
  };
  record.addEventListener("click", (event) => { if (event.target === record) record.close(); });
  record.addEventListener("close", () => {
    const button = at("cards").querySelector(`.caption[data-row="${current}"]`);
    if (button) button.focus();
  });

  // ---- keys and links -------------------------------------------------------------------------

  const move = (by) => {
    const buttons = [...at("cards").querySelectorAll(".caption")];
    const here = buttons.indexOf(document.activeElement);
    if (here < 0 && by < 0) return false;
    if (here === buttons.length - 1 && by > 0 && drawn < groups.length) {
      drawMore();
      return move(by);
    }
    const next = buttons[here + by];
    if (!next) { if (by < 0) search.focus(); return by < 0; }
    next.focus();
    return true;
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = document.activeElement instanceof HTMLInputElement || document.activeElement instanceof HTMLSelectElement;
    if (record.open) {
      if (event.key === "ArrowRight") step(1);
      else if (event.key === "ArrowLeft") step(-1);
      else return;
      event.preventDefault();
    } else if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape" && document.activeElement === search) {
      if (search.value) { search.value = ""; apply(); } else search.blur();
    } else if (document.activeElement === search ? event.key === "ArrowDown" : !typing) {
      const inside = at("cards").contains(document.activeElement) || document.activeElement === search;
      const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (by && inside && move(by)) event.preventDefault();
    }
  });

  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(apply, 120); });
  for (const select of [...Object.values(controls), order]) select.addEventListener("change", apply);
  at("controls").addEventListener("submit", (event) => { event.preventDefault(); apply(); });
  at("controls").addEventListener("reset", () => setTimeout(apply));
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[data-filter]") : null;
    if (!link) return;
    at("controls").reset();
    const { filter, value: wanted } = link.dataset;
    controls[filter].value = filter === "verdict" ? wanted : "=" + wanted;
    apply();
  });
  apply();
})();
