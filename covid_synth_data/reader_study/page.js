"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const pairs = data.pairs;
  const store = "covid-synth reader study " + data.study;
  const el = (id) => document.getElementById(id);
  const sides = ["left", "right"];
  let state = { reader: "", started: "", finished: "", answers: {} };
  let at = -1; // the pair on the screen; -1 before the first, pairs.length after the last
  let shownSince = null;

  const answerOf = (index) => state.answers[pairs[index].id];
  const entry = () => (state.answers[pairs[at].id] ??= { real: null, confidence: null, seconds: 0 });
  const answered = () => pairs.filter((pair) => state.answers[pair.id] && state.answers[pair.id].real).length;
  const firstGap = () => pairs.findIndex((pair) => !(state.answers[pair.id] && state.answers[pair.id].real));

  function load() {
    try {
      const kept = JSON.parse(localStorage.getItem(store));
      if (kept && typeof kept.answers === "object") state = kept;
    } catch {
      el("storage").textContent = "This browser keeps nothing for this page: finish without closing it.";
    }
  }

  function save() {
    try {
      localStorage.setItem(store, JSON.stringify(state));
    } catch {
      el("status").textContent = "Your answers cannot be kept in this browser: finish without closing the page.";
    }
  }

  // Seconds count while a pair is on a visible screen.
  function clock(run) {
    const now = performance.now();
    if (shownSince !== null && at >= 0 && at < pairs.length) {
      entry().seconds += (now - shownSince) / 1000;
      save();
    }
    shownSince = run && !document.hidden ? now : null;
  }

  function show(index) {
    clock(false);
    at = Math.max(0, Math.min(index, pairs.length));
    el("intro").hidden = true;
    el("pair").hidden = at === pairs.length;
    el("done").hidden = at < pairs.length;
    if (at === pairs.length) return finish();
    for (const side of sides) el(side + "-film").src = pairs[at][side];
    el("where").textContent = `Pair ${at + 1} of ${pairs.length}`;
    el("back").disabled = at === 0;
    el("status").textContent = "";
    mark();
    el("where").focus();
    clock(true);
  }

  function mark() {
    const answer = answerOf(at) || { real: null, confidence: null };
    for (const side of sides) {
      el(side).setAttribute("aria-pressed", String(answer.real === side));
      el(side + "-mark").textContent = answer.real === side ? "\u2713 real" : "";
    }
    for (const button of document.querySelectorAll("[data-level]")) {
      button.setAttribute("aria-pressed", String(answer.confidence === Number(button.dataset.level)));
      button.disabled = !answer.real;
    }
    el("progress").value = answered();
  }

  function choose(side) {
    clock(true);
    entry().real = side;
    save();
    mark();
    el("status").textContent = `${side === "left" ? "Left" : "Right"} film chosen as real.`;
    el("next").focus();
  }

  function sure(level) {
    const answer = answerOf(at);
    if (!answer || !answer.real) return needed();
    answer.confidence = level;
    next();
  }

  function needed() {
    el("status").textContent = "First choose the film that is real: F or left arrow, J or right arrow.";
  }

  function next() {
    const answer = answerOf(at);
    if (!answer || !answer.real) return needed();
    show(at + 1);
  }

  function finish() {
    const missing = pairs.map((_, index) => index).filter((index) => !(answerOf(index) && answerOf(index).real));
    el("summary").textContent = `${answered()} of ${pairs.length} pairs answered.`;
    el("gaps").replaceChildren(
      ...missing.map((index) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `Answer pair ${index + 1}`;
        button.addEventListener("click", () => show(index));
        return button;
      }),
    );
    el("export").hidden = missing.length > 0;
    el("exported").textContent = "";
    if (!missing.length) {
      state.finished = new Date().toISOString();
      save();
      el("json").value = exported();
    }
    el("finished").focus();
  }

  function exported() {
    const answers = pairs.map((pair) => {
      const { real, confidence, seconds } = state.answers[pair.id];
      return { pair: pair.id, real, confidence, seconds: Math.round(seconds * 10) / 10 };
    });
    const { reader, started, finished } = state;
    return JSON.stringify({ format: 1, study: data.study, reader, started, finished, answers }, null, 1);
  }

  el("download").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([exported() + "\n"], { type: "application/json" }));
    link.download = `answers-${state.reader.replace(/[^A-Za-z0-9_-]+/g, "-")}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    el("exported").textContent = `Saved as ${link.download}.`;
  });

  el("copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(exported());
      el("exported").textContent = "Copied.";
    } catch {
      el("json").select();
      el("exported").textContent = "Not allowed here: the text is selected, copy it with your keyboard.";
    }
  });

  el("start").addEventListener("submit", (event) => {
    event.preventDefault();
    state.reader = el("reader").value.trim();
    if (!state.reader) return el("reader").focus();
    state.started ||= new Date().toISOString();
    save();
    const gap = firstGap();
    show(gap < 0 ? pairs.length : gap);
  });

  el("erase").addEventListener("click", () => {
    if (!el("erase").dataset.sure) {
      el("erase").dataset.sure = "yes";
      el("erase").textContent = "Press again to erase them";
      return;
    }
    localStorage.removeItem(store);
    state = { reader: "", started: "", finished: "", answers: {} };
    greet();
    el("reader").focus();
  });

  function greet() {
    const done = answered();
    el("reader").value = state.reader;
    el("begin").textContent = done ? `Go on (${done} of ${pairs.length} answered)` : "Begin";
    el("erase").hidden = !done;
    delete el("erase").dataset.sure;
    el("erase").textContent = "Erase my answers";
  }

  for (const side of sides) el(side).addEventListener("click", () => choose(side));
  for (const button of document.querySelectorAll("[data-level]"))
    button.addEventListener("click", () => sure(Number(button.dataset.level)));
  el("back").addEventListener("click", () => show(at - 1));
  el("next").addEventListener("click", next);
  el("again").addEventListener("click", () => show(pairs.length - 1));
  document.addEventListener("visibilitychange", () => clock(true));
  window.addEventListener("pagehide", () => clock(false));

  const keys = {
    f: () => choose("left"), ArrowLeft: () => choose("left"),
    j: () => choose("right"), ArrowRight: () => choose("right"),
    1: () => sure(1), 2: () => sure(2), 3: () => sure(3), n: next, Enter: next, b: () => show(at - 1),
  };
  document.addEventListener("keydown", (event) => {
    if (at < 0 || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    if (event.target.closest("input, textarea")) return;
    // A button under the focus takes Enter itself.
    if (event.key === "Enter" && event.target.closest("button")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (at === pairs.length && key !== "b") return;
    if (Object.hasOwn(keys, key)) {
      event.preventDefault();
      keys[key]();
    }
  });

  load();
  greet();
})();
